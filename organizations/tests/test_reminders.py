"""Reminding those who are left: everybody once, whatever happens in between."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from accounts import mail_retention
from accounts.models import Mail, User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import policy_changes, reminders
from organizations.models import Membership, Reminder, Role
from organizations.policy_changes import PolicySettings
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from organizations.web.wording import last_reminder_in_words
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def olaf(clinic):
    user = UserFactory(email="olaf@example.com")
    add_mode(user, "authenticator")
    return MembershipFactory(organization=clinic, user=user, role=Role.OWNER)


def add_members(clinic, number):
    users = [User(email=f"m{n}@example.com", email_key=f"m{n}@example.com", password="!") for n in range(number)]
    User.objects.bulk_create(users)
    Membership.objects.bulk_create([Membership(organization=clinic, user=user) for user in users])
    return users


def announce(owner, *, days):
    at = timezone.now() + timedelta(days=days)
    policy_changes.set_policy(owner, PolicySettings(required=True, required_from=at), Origin())


ASKED = "Clinic asks you to activate multi-factor authentication"
LIFTED = "Clinic no longer requires multi-factor authentication"


def told(address="m0@example.com") -> list[str]:
    """Give the subjects of what came to somebody."""
    return [message.subject for message in read_mail() if message.to == [address]]


def reminded() -> list[str]:
    return sorted(mail.user.email for mail in Mail.objects.filter(task=reminders.REMINDER).select_related("user"))


def test_one_click_reminds_everybody_who_is_left(client, clinic, olaf):
    users = add_members(clinic, 5)
    add_mode(users[0], "email")
    sign_in(client, olaf.user)

    page = client.post(f"{clinic.get_absolute_url()}/remind", follow=True)
    reminders.fan_out()

    assert "We are sending the reminders." in text_of(page)
    shown = text_of(client.get(f"{clinic.get_absolute_url()}/compliance"))
    assert "UTC, to 4 members. You can send the next reminder from" in shown
    assert "Remind 4" not in shown
    assert reminded() == [f"m{number}@example.com" for number in range(1, 5)]
    assert set(Mail.objects.filter(task=reminders.REMINDER).values_list("queue", flat=True)) == {"bulk"}
    told = [message for message in read_mail() if "Clinic asks you" in message.subject]
    assert len(told) == 4
    assert "It takes about a minute:\nhttp://testserver/account/mfa/activate" in told[0].body


def test_once_a_day_is_enough(client, clinic, olaf):
    add_members(clinic, 1)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_in(client, olaf.user)
        client.post(f"{clinic.get_absolute_url()}/remind")

        assert "You can remind members once a day." in text_of(
            client.post(f"{clinic.get_absolute_url()}/remind", follow=True)
        )
        clock.shift(timedelta(hours=24))
        sign_in(client, olaf.user)
        client.post(f"{clinic.get_absolute_url()}/remind")
    assert Reminder.objects.count() == 2


def test_before_the_first_mail_is_written_the_page_says_how_many_are_reminded(client, clinic, olaf):
    add_members(clinic, 2)
    sign_in(client, olaf.user)
    url = f"{clinic.get_absolute_url()}/compliance"

    client.post(f"{clinic.get_absolute_url()}/remind")
    page = text_of(client.get(url))
    assert "We are sending a reminder to up to 2 members." in page
    assert "Last reminder" not in page
    reminders.fan_out()

    assert ", to 2 members." in text_of(client.get(url)).partition("Last reminder: ")[2]


@pytest.mark.parametrize("crash_after", [0, 1, 2])
def test_a_crash_between_batches_loses_nobody_and_tells_nobody_twice(clinic, olaf, monkeypatch, crash_after):
    add_members(clinic, 25)
    monkeypatch.setattr(reminders, "BATCH", 10)
    run = reminders.start(olaf, Origin())
    posted, batches = reminders.outbox.post_in_bulk, []

    def post_and_die(mails):
        posted(mails)
        batches.append(len(mails))
        if len(batches) == crash_after + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(reminders.outbox, "post_in_bulk", post_and_die)
    with pytest.raises(KeyboardInterrupt):
        reminders.fan_out()
    monkeypatch.setattr(reminders.outbox, "post_in_bulk", posted)
    reminders.fan_out()

    assert len(reminded()) == len(set(reminded())) == 25
    run.refresh_from_db()
    assert run.done_at


def test_whoever_has_enabled_it_meanwhile_gets_no_mail(clinic, olaf):
    """SR-50."""
    (user,) = add_members(clinic, 1)
    reminders.start(olaf, Origin())
    reminders.fan_out()
    add_mode(user, "email")

    assert not [message for message in read_mail() if "Clinic" in message.subject]


def test_an_exempt_account_is_not_reminded(clinic, olaf):
    (user,) = add_members(clinic, 1)
    policy_changes.exempt(olaf, user.pk, reason="robot", until=timezone.now() + timedelta(days=3), origin=Origin())
    reminders.start(olaf, Origin())
    reminders.fan_out()

    assert reminded() == []


class TestByItself:
    """Members hear of a policy without anybody's click, and never twice of the same."""

    @pytest.fixture
    def clock(self):
        with time_machine.travel("2026-11-01T00:00:00Z", tick=False) as clock:
            yield clock

    @pytest.fixture
    def member(self, clinic, clock):
        (user,) = add_members(clinic, 1)
        return user

    @pytest.fixture
    def mails_after(self, clock):
        """Let time pass, with a clock that asks often, and give how many mails there are."""

        def mails_after(**time):
            clock.shift(timedelta(**time))
            for _ask in range(3):
                reminders.begin_due()
                reminders.fan_out()
            return len(reminded())

        return mails_after

    def test_announced_a_week_before_and_a_day_before(self, olaf, member, mails_after):
        announce(olaf, days=20)

        assert [mails_after(minutes=5), *(mails_after(days=days) for days in (12, 1, 5, 1, 1, 1))] == [
            1, 1, 2, 2, 3, 3, 3,
        ]  # fmt: skip

    @pytest.mark.parametrize(("hours", "mails"), [(12, [1, 1]), (36, [1, 2]), (120, [1, 2])])
    def test_at_short_notice_nothing_is_said_twice(self, olaf, member, mails_after, hours, mails):
        announce(olaf, days=hours / 24)

        assert [mails_after(minutes=5), mails_after(hours=hours - 1)] == mails

    def test_an_owner_who_changes_their_mind_at_once_writes_to_nobody(self, olaf, member, mails_after):
        for days in range(10, 20):
            announce(olaf, days=days)
        policy_changes.stop_requiring(olaf, Origin())

        assert mails_after(minutes=6) == 0

    def test_of_several_dates_the_last_is_told_also_if_it_was_the_first(self, olaf, clinic, member, mails_after):
        for days in (20, 28):
            announce(olaf, days=days)
            mails_after(minutes=10)
        at = timezone.now().replace(hour=0, minute=0) + timedelta(days=20)
        policy_changes.set_policy(olaf, PolicySettings(required=True, required_from=at), Origin())
        mails_after(minutes=10)

        told = [message.body for message in read_mail() if "Clinic asks you" in message.subject]
        assert "from 21 November 2026, 00:00 UTC" in told[-1]

    def test_what_was_taken_back_and_announced_again_is_told(self, olaf, member, mails_after):
        announce(olaf, days=20)
        assert mails_after(minutes=10) == 1
        policy_changes.stop_requiring(olaf, Origin())
        announce(olaf, days=20)
        assert mails_after(minutes=10) == 2
        # What was overtaken before a worker came is not sent.
        assert told() == ["Clinic asks you to activate multi-factor authentication (20 days left)"]

    def test_whoever_was_told_of_it_is_told_that_it_is_taken_back(self, olaf, clinic, member, mails_after):
        announce(olaf, days=20)
        mails_after(minutes=10)
        told()
        MembershipFactory(organization=clinic, user=UserFactory(email="later@example.com"))
        policy_changes.stop_requiring(olaf, Origin())
        mails_after(minutes=10)

        assert told()[-1] == LIFTED
        assert told("later@example.com") == []

    def test_that_it_is_lifted_is_told_after_months_when_the_mails_are_deleted(
        self, olaf, clinic, member, mails_after, clock
    ):
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)
        assert told() == [ASKED]
        MembershipFactory(organization=clinic, user=UserFactory(email="later@example.com"))
        clock.shift(settings.MAIL_KEPT_FOR + timedelta(days=1))
        mail_retention.forget_old()
        assert reminded() == []
        policy_changes.stop_requiring(olaf, Origin())
        mails_after(minutes=10)

        assert told()[-1] == LIFTED
        assert told("later@example.com") == []

        # The next policy is another one: who met it from the start hears nothing of its end.
        clock.shift(settings.MAIL_KEPT_FOR + timedelta(days=1))
        mail_retention.forget_old()
        announce(olaf, days=20)
        policy_changes.stop_requiring(olaf, Origin())
        mails_after(minutes=10)
        assert reminded() == []

    def test_a_mail_that_was_never_sent_told_nobody(self, olaf, clinic, member, mails_after, clock):
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)
        Mail.objects.update(state="failed")
        clock.shift(settings.MAIL_KEPT_FOR + timedelta(days=1))
        mail_retention.forget_old()

        assert Membership.objects.get(user=member).reminded_at is None

    def test_they_are_told_so_once_whatever_lies_between(self, olaf, member, mails_after):
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)
        assert told() == [ASKED]
        for _time in range(2):  # nobody hears of these
            policy_changes.stop_requiring(olaf, Origin())
            mails_after(minutes=1)
            policy_changes.require(olaf, Origin())
            mails_after(minutes=1)
        policy_changes.stop_requiring(olaf, Origin())
        mails_after(minutes=10)
        assert told() == [ASKED, LIFTED]
        policy_changes.require(olaf, Origin())
        policy_changes.stop_requiring(olaf, Origin())
        mails_after(minutes=10)

        assert told() == [ASKED, LIFTED]

    def test_whoever_met_it_all_the_time_hears_nothing(self, olaf, member, mails_after):
        add_mode(member, "email")
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)
        policy_changes.set_policy(olaf, PolicySettings(required=False, accepted_modes="authenticator"), Origin())
        mails_after(minutes=10)

        assert told() == []

    def test_whoever_lacked_the_mode_that_counted_hears_that_it_is_lifted(self, olaf, member, mails_after):
        add_mode(member, "email")
        policy_changes.set_policy(olaf, PolicySettings(required=True, accepted_modes="authenticator"), Origin())
        mails_after(minutes=10)
        told()
        policy_changes.set_policy(olaf, PolicySettings(required=False), Origin())
        mails_after(minutes=10)

        assert told()[-1] == LIFTED

    def test_an_owner_who_reminds_does_not_swallow_that_it_is_lifted(self, olaf, member, mails_after):
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)
        told()
        policy_changes.stop_requiring(olaf, Origin())
        reminders.start(olaf, Origin())
        mails_after(minutes=10)

        assert LIFTED in told()

    def test_a_week_and_some_minutes_ahead_is_told_once(self, olaf, member, mails_after):
        announce(olaf, days=7 + 3 / 24 / 60)

        assert [mails_after(minutes=1) for _minute in range(10)][-1] == 1

    def test_tightening_overtakes_a_reminder_that_is_under_way(self, olaf, member, mails_after):
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)
        reminders.start(olaf, Origin())
        policy_changes.set_policy(olaf, PolicySettings(required=True, accepted_modes="authenticator"), Origin())
        mails_after(minutes=10)

        assert len(told()) == 1

    def test_whose_exemption_is_ended_is_told(self, olaf, member, mails_after):
        until = timezone.now() + timedelta(days=9)
        policy_changes.exempt(olaf, member.pk, reason="robot", until=until, origin=Origin())
        policy_changes.require(olaf, Origin())
        assert mails_after(minutes=10) == 0
        policy_changes.exempt(olaf, member.pk, reason="", until=None, origin=Origin())

        assert told() == [ASKED]

    def test_so_is_everybody_whose_exemption_is_ended(self, olaf, clinic, mails_after):
        users = add_members(clinic, 3)
        policy_changes.require(olaf, Origin())
        for until in (timezone.now() + timedelta(days=9), None):
            for user in users:
                policy_changes.exempt(olaf, user.pk, reason="robot", until=until, origin=Origin())

        assert [told(user.email) for user in users] == [[ASKED]] * 3

    def test_the_page_calls_no_mail_that_it_is_lifted_a_reminder(self, client, olaf, clinic, member, mails_after):
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)
        told()
        policy_changes.stop_requiring(olaf, Origin())
        mails_after(minutes=10)
        sign_in(client, olaf.user)

        assert "The last change was mailed at 1 November 2026, 00:05 UTC to 1 member." in text_of(
            client.get(f"{clinic.get_absolute_url()}/compliance")
        )

    def test_requiring_at_once_is_told_to_those_whom_it_stops(self, olaf, member, mails_after):
        policy_changes.require(olaf, Origin())

        assert mails_after(minutes=4) == 0
        assert mails_after(minutes=1) == 1

    def test_tightening_is_told_to_those_whom_it_stops(self, olaf, clinic, member, mails_after):
        add_mode(member, "email")
        policy_changes.require(olaf, Origin())
        assert mails_after(minutes=10) == 0

        policy_changes.set_policy(olaf, PolicySettings(required=True, accepted_modes="authenticator"), Origin())
        assert mails_after(minutes=10) == 1

        (message,) = [message for message in read_mail() if message.to == ["m0@example.com"]]
        assert message.subject == "Clinic asks you to activate another mode of multi-factor authentication"
        assert "http://testserver/account/mfa/activate?type=authenticator" in message.body

    def test_an_owner_who_reminds_at_once_speaks_for_the_portal(self, olaf, member, mails_after):
        policy_changes.require(olaf, Origin())
        reminders.start(olaf, Origin())

        assert mails_after(minutes=10) == 1

    def test_a_disabled_account_gets_none(self, olaf, member, mails_after):
        User.objects.filter(pk=member.pk).update(is_active=False)
        policy_changes.require(olaf, Origin())
        mails_after(minutes=10)

        assert not [message for message in read_mail() if message.to == ["m0@example.com"]]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
def test_reminding_is_the_owners(client, clinic, dana, role):
    """SR-39."""
    MembershipFactory(organization=clinic, user=dana, role=role)
    sign_in(client, dana)

    assert client.post(f"{clinic.get_absolute_url()}/remind").status_code == 403


def test_mails_about_a_change_are_not_told_as_a_reminder(clinic, olaf):
    run = Reminder(organization=clinic, kind=Reminder.Kind.ANNOUNCED, mails=2000)

    assert last_reminder_in_words(run).startswith("The last change was mailed at ")
    assert last_reminder_in_words(run).endswith(" to 2,000 members.")
    run.kind = Reminder.Kind.WEEK
    assert last_reminder_in_words(run).startswith("Last reminder: ")

"""Owners read before a click what it does to how many members, and afterwards how to take it back."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.models import AssistedReset
from organizations import membership, policy_changes, reminders
from organizations.models import Membership, OrganizationEvent, Role
from organizations.tests.factories import OrganizationFactory, person
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

LOST_MAILBOX = "Neither you nor an administrator of this portal can change the address of another person's account."


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def olaf(clinic):
    return person(clinic, "olaf", Role.OWNER, mode="authenticator")


@pytest.fixture
def owner(client, olaf):
    sign_in(client, olaf)
    return client


def page_of(client, clinic, path=""):
    return text_of(client.get(clinic.get_absolute_url() + path))


def in_days(days):
    return timezone.now() + timedelta(days=days)


class TestStartDate:
    def test_each_choice_says_how_many_it_blocks_and_when_they_are_mailed(self, owner, clinic):
        person(clinic, "mo")
        person(clinic, "ann", mode="email")

        page = page_of(owner, clinic, "/policy")

        assert "1 member does not meet this yet." in page
        assert "2 members do not meet this yet." in page
        assert "do not meet the policy 5 minutes after you save it." in page

    def test_after_saving_it_says_who_is_mailed_and_how_to_undo_it(self, owner, clinic):
        """SR-50: who undoes it in time has mailed no member."""
        person(clinic, "mo")
        address = clinic.get_absolute_url()
        fields = dict(owner.get(f"{address}/policy").context["form"].initial)

        page = text_of(owner.post(
            f"{address}/policy", {"seen": fields["seen"], "counting": "", "required_from": f"{in_days(5):%Y-%m-%d}"},
            follow=True,
        ))  # fmt: skip

        assert "1 member does not meet this yet. We email these members in 5 minutes." in page
        assert "1 member does not meet the policy yet: mo@example.com." in page
        assert "Requiring MFA blocks" not in page
        owner.post(f"{address}/stop-requiring")
        reminders.fan_out()
        assert "mo@example.com" not in {message.to[0] for message in read_mail()}

    def test_an_owner_who_undoes_it_in_time_reads_that_no_member_was_emailed(self, owner, clinic):
        """SR-50."""
        person(clinic, "mo")
        clinic.mfa_required_at, clinic.rehearsal_until = in_days(2), in_days(7)
        clinic.save()
        owner.post(f"{clinic.get_absolute_url()}/require")

        page = text_of(owner.post(f"{clinic.get_absolute_url()}/stop-requiring", follow=True))

        assert (
            "Multi-factor authentication is no longer required. An earlier start date or rehearsal does not come "
            "back: set it again if you need it. No member was emailed about the requirement."
        ) in page

    def test_an_owner_who_undoes_it_later_reads_who_is_emailed(self, owner, clinic, olaf):
        """SR-50."""
        mo, url = person(clinic, "mo"), clinic.get_absolute_url()
        with time_machine.travel(timezone.now(), tick=False) as clock:
            owner.post(f"{url}/require")
            clock.shift(reminders.SETTLING_TIME)
            reminders.fan_out()
            assert [mail.to for mail in read_mail() if "Clinic asks you" in mail.subject] == [[mo.email]]
            page = text_of(owner.post(f"{url}/stop-requiring", follow=True))
            assert "We email the members who were told about the requirement." in page
            clock.shift(reminders.SETTLING_TIME)
            assert reminders.fan_out() == 1

            sign_in(owner, olaf)
            owner.post(f"{url}/require")
            page = text_of(owner.post(f"{url}/stop-requiring", follow=True))

            assert "No member was emailed about the requirement." in page
            clock.shift(reminders.SETTLING_TIME)
            assert reminders.fan_out() == 0

    def test_an_owner_who_cancels_a_date_reads_that_no_member_was_emailed(self, owner, clinic):
        clinic.mfa_required_at = in_days(2)
        clinic.save()

        page = text_of(owner.post(f"{clinic.get_absolute_url()}/stop-requiring", follow=True))

        assert "The start date is cancelled. No member was emailed about the requirement." in page

    def test_a_rehearsal_without_hits_says_when_members_are_listed(self, owner, clinic):
        person(clinic, "mo")
        clinic.rehearsal_until = in_days(7)
        clinic.save()

        page = page_of(owner, clinic, "/rehearsal")

        assert "No one so far. Members are listed here once they open the organization or use the command line." in page
        assert "They see nothing of the rehearsal and get no email about it." in page

    def test_a_rehearsal_that_runs_past_it_says_so(self, owner, clinic):
        clinic.mfa_required_at, clinic.rehearsal_until = in_days(2), in_days(7)
        clinic.save()

        assert "The rehearsal ends then." in page_of(owner, clinic, "/rehearsal")


def test_the_button_that_requires_says_that_it_acts_now(owner, clinic):
    person(clinic, "mo")

    assert "The button requires MFA now: 1 member is blocked at once." in page_of(owner, clinic)
    page = text_of(owner.post(f"{clinic.get_absolute_url()}/require", follow=True))

    assert "To undo it, select “Stop requiring”." in page


class TestMember:
    def test_i_read_the_name_and_no_way_to_reset_what_is_not_there(self, owner, clinic):
        mo = person(clinic, "mo", name="Mo Stone")

        page = page_of(owner, clinic, f"/members/{mo.pk}")

        assert "Name Mo Stone" in page
        assert "Reset lost multi-factor authentication" not in page

    def test_the_reset_page_says_that_it_needs_the_mailbox_and_what_helps_without_it(self, owner, clinic, settings):
        """SR-28."""
        settings.SUPPORT_CONTACT = "help@example.com"
        mo = person(clinic, "mo", mode="authenticator")

        page = page_of(owner, clinic, f"/members/{mo.pk}/reset")

        assert "The member needs their mailbox for this: both codes go to mo@example.com." in page
        assert LOST_MAILBOX in page.partition("Start reset")[0]
        assert "You reach the administrators of this portal at help@example.com" in page

    def test_a_member_with_codes_by_email_has_nothing_to_reset_and_the_page_says_why(self, owner, clinic):
        """SR-28."""
        mo = person(clinic, "mo", mode="email")

        page = page_of(owner, clinic, f"/members/{mo.pk}")

        assert "Reset lost multi-factor authentication" not in page
        assert "There is nothing to reset: this member can get codes by email." in page
        assert LOST_MAILBOX in page

    def test_the_search_is_still_there_when_i_am_done(self, owner, clinic):
        mo = person(clinic, "mo")

        link = f"{clinic.get_absolute_url()}/members/{mo.pk}?mfa=off&amp;q=mo"
        assert link in owner.get(f"{clinic.get_absolute_url()}/members?q=mo&mfa=off&x=1").content.decode()
        page = owner.get(link.replace("&amp;", "&")).content.decode()

        assert f'{clinic.get_absolute_url()}/members?mfa=off&amp;q=mo">Done' in page

    def test_the_search_is_still_there_after_the_end_of_an_exemption(self, owner, clinic):
        bot = person(clinic, "bot")
        Membership.objects.filter(user=bot).update(exempt_until=in_days(9))
        url = f"{clinic.get_absolute_url()}/members/{bot.pk}"
        assert f'href="{url}?mfa=exempt"' in owner.get(f"{clinic.get_absolute_url()}/exemptions").content.decode()
        ends = f'action="{url}/exempt?mfa=exempt"'
        assert ends in owner.get(f"{url}?mfa=exempt").content.decode()

        done = owner.post(f"{url}/exempt?mfa=exempt", {"end": "yes"})

        assert done.url == f"{url}?mfa=exempt"
        assert not Membership.objects.get(user=bot).is_exempt

    def test_a_running_reset_is_shown_and_i_can_cancel_it(self, owner, clinic):
        """SR-28."""
        mo = person(clinic, "mo", mode="authenticator")
        address = f"{clinic.get_absolute_url()}/members/{mo.pk}"

        done = owner.post(f"{address}/reset", {"reason": "lost phone"})
        assert done.url == address
        page = page_of(owner, clinic, f"/members/{mo.pk}")
        assert "We have asked the member to confirm it by email, and wait for that. Cancel the reset" in page
        assert "Reset lost multi-factor authentication" not in page
        owner.post(f"{address}/reset/cancel")

        assert AssistedReset.objects.get().ended_at is not None
        assert OrganizationEvent.objects.filter(kind="assisted_reset_cancelled", subject="mo@example.com").exists()

    def test_a_reset_that_others_started_is_not_mine_to_cancel(self, owner, clinic):
        """SR-28, SR-39."""
        mo, eve = person(clinic, "mo", mode="authenticator"), UserFactory(email="eve@example.com")
        AssistedReset.objects.create(user=mo, started_by=eve, reason="x", expires_at=in_days(1), secret=b"x")

        page = text_of(owner.post(f"{clinic.get_absolute_url()}/members/{mo.pk}/reset/cancel", follow=True))

        assert "No owner of this organization has started a reset" in page
        assert AssistedReset.objects.get().ended_at is None
        assert "Cancel the reset" not in page

    def test_the_confirmation_of_a_removal_names_the_organization_and_says_that_no_mail_is_sent(self, owner, clinic):
        mo = person(clinic, "mo")

        page = owner.get(f"{clinic.get_absolute_url()}/members/{mo.pk}/remove")

        assert "No email is sent about it." in text_of(page)
        assert 'aria-label="Clinic"' in page.content.decode()


class TestList:
    def test_it_says_how_many_match_and_names_count(self, owner, clinic):
        for name in ("mo", "ann"):
            person(clinic, name, name=f"{name.title()} Stone")

        assert "1 of 3 members matches." in page_of(owner, clinic, "/members?q=ann+stone")
        assert "2 of 3 members match." in page_of(owner, clinic, "/members?mfa=missing")
        page = page_of(owner, clinic, "/members")
        assert "match." not in page
        assert "would be blocked (2)" in page
        assert "Any part of the email or name is enough." in page


class TestLeaving:
    def test_the_only_owner_reads_at_once_what_is_missing(self, owner, clinic):
        """SR-40."""
        page = owner.get(f"{clinic.get_absolute_url()}/leave")

        assert "You cannot leave Clinic yet" in text_of(page)
        assert f'action="{clinic.get_absolute_url()}/members"' in page.content.decode()

    def test_who_stays_is_named(self, owner, clinic):
        person(clinic, "eve", Role.OWNER)

        assert "The owners who stay: eve@example.com." in page_of(owner, clinic, "/leave")


class TestLogAndEvidence:
    def test_a_name_finds_what_its_member_did(self, owner, clinic, olaf):
        mo = person(clinic, "mo", name="Mo Stone")
        membership.record(clinic, mo, "joined", Origin(), subject="mo@example.com")

        assert "mo@example.com" in page_of(owner, clinic, "/log?person=mo+stone").partition("Joined")[2]
        assert "No event matches your filter." in page_of(owner, clinic, "/log?person=xavier")

    def test_the_sheet_names_the_coming_date_and_ends_of_exemptions(self, owner, clinic, olaf):
        robot = person(clinic, "robot.one")
        clinic.mfa_required_at = in_days(2)
        clinic.save()
        mine = Membership.objects.get(user=olaf)
        policy_changes.exempt(mine, robot.pk, reason="backup", until=in_days(9), origin=Origin())

        page = owner.get(f"{clinic.get_absolute_url()}/evidence").content.decode()

        assert "It is required from" in page
        assert f'(until <span class="whole">{in_days(9):%Y-%m-%d}</span>)' in page
        assert "robot.<wbr>one@<wbr>example.<wbr>com: backup, until" in page

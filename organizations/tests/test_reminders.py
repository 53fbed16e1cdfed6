"""Reminding those who are left: everybody once, whatever happens in between."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import Mail, Mode, User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from conftest import read_mail, sign_in, text_of
from mfa.tests.factories import add_mode
from organizations import policy_changes, reminders
from organizations.models import Membership, Reminder, Role
from organizations.policy_changes import Terms
from organizations.tests.factories import MembershipFactory, OrganizationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def olaf(clinic):
    user = UserFactory(email="olaf@example.com")
    add_mode(user, Mode.AUTHENTICATOR)
    return MembershipFactory(organization=clinic, user=user, role=Role.OWNER)


def add_members(clinic, number):
    users = [User(email=f"m{n}@example.com", email_key=f"m{n}@example.com", password="!") for n in range(number)]
    User.objects.bulk_create(users)
    Membership.objects.bulk_create([Membership(organization=clinic, user=user) for user in users])
    return users


def reminded() -> list[str]:
    return sorted(mail.user.email for mail in Mail.objects.filter(task=reminders.MAIL_TASK).select_related("user"))


def test_one_click_reminds_everybody_who_is_left(client, clinic, olaf):
    users = add_members(clinic, 5)
    add_mode(users[0], Mode.EMAIL)
    sign_in(client, olaf.user)

    page = client.post(f"{clinic.get_absolute_url()}/remind", follow=True)
    reminders.fan_out()

    assert "on their way" in text_of(page)
    shown = text_of(client.get(f"{clinic.get_absolute_url()}/compliance"))
    assert "UTC, to 4 members. The next one is possible from" in shown
    assert "Remind 4" not in shown
    assert reminded() == [f"m{number}@example.com" for number in range(1, 5)]
    assert set(Mail.objects.filter(task=reminders.MAIL_TASK).values_list("queue", flat=True)) == {"bulk"}
    told = [message for message in read_mail() if "Clinic asks you" in message.subject]
    assert len(told) == 4
    assert "It takes about a minute: http://testserver/account/mfa/activate" in told[0].body


def test_once_a_day_is_enough(client, clinic, olaf):
    add_members(clinic, 1)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_in(client, olaf.user)
        client.post(f"{clinic.get_absolute_url()}/remind")

        assert "reminded less than a day ago" in text_of(
            client.post(f"{clinic.get_absolute_url()}/remind", follow=True)
        )
        clock.shift(timedelta(hours=24))
        sign_in(client, olaf.user)
        client.post(f"{clinic.get_absolute_url()}/remind")
    assert Reminder.objects.count() == 2


@pytest.mark.parametrize("crash_after", [0, 1, 2, 3])
def test_a_crash_between_batches_loses_nobody_and_tells_nobody_twice(clinic, olaf, monkeypatch, crash_after):
    add_members(clinic, 25)
    monkeypatch.setattr(reminders, "BATCH", 10)
    run = reminders.start(olaf, Origin())
    posted, batches = reminders.outbox.post_many, []

    def post_and_die(mails):
        posted(mails)
        batches.append(len(mails))
        if len(batches) == crash_after + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(reminders.outbox, "post_many", post_and_die)
    try:
        reminders.fan_out()
    except KeyboardInterrupt:
        monkeypatch.setattr(reminders.outbox, "post_many", posted)
        reminders.fan_out()

    assert len(reminded()) == len(set(reminded())) == 25
    run.refresh_from_db()
    assert run.done_at


def test_whoever_has_enabled_it_meanwhile_gets_no_mail(clinic, olaf):
    """SR-50."""
    (user,) = add_members(clinic, 1)
    reminders.start(olaf, Origin())
    reminders.fan_out()
    add_mode(user, Mode.EMAIL)

    assert not [message for message in read_mail() if "Clinic" in message.subject]


def test_an_exempt_account_is_not_reminded(clinic, olaf):
    (user,) = add_members(clinic, 1)
    policy_changes.exempt(olaf, user.pk, reason="robot", until=timezone.now() + timedelta(days=3), origin=Origin())
    reminders.start(olaf, Origin())
    reminders.fan_out()

    assert reminded() == []


def test_a_coming_date_reminds_by_itself(clinic, olaf):
    """Announced, a week before, a day before: each once, however often the clock asks."""
    add_members(clinic, 1)
    with time_machine.travel("2026-11-01T00:00:00Z", tick=False) as clock:
        policy_changes.set_terms(
            olaf, Terms(required=True, required_from=timezone.now() + timedelta(days=20)), Origin()
        )
        counts = []
        for days in (0, 12, 1, 5, 1, 1, 1):
            clock.shift(timedelta(days=days))
            for _ask in range(3):
                reminders.begin_due()
                reminders.fan_out()
            counts.append(len(reminded()))

    assert counts == [1, 1, 2, 2, 3, 3, 3]


def test_a_new_date_reminds_anew(clinic, olaf):
    add_members(clinic, 1)
    for days in (20, 30):
        policy_changes.set_terms(
            olaf, Terms(required=True, required_from=timezone.now() + timedelta(days=days)), Origin()
        )
        reminders.fan_out()

    assert len(reminded()) == 2


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
def test_reminding_is_the_owners(client, clinic, dana, role):
    """SR-39."""
    MembershipFactory(organization=clinic, user=dana, role=role)
    sign_in(client, dana)

    assert client.post(f"{clinic.get_absolute_url()}/remind").status_code == 403

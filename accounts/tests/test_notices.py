"""I choose which of the optional emails I get (SR-54)."""

import pytest
from django.utils.html import strip_tags

from accounts import notices, security_log
from accounts.models import Mail, User
from accounts.notices import Notice
from accounts.security_log import Kind, Origin
from organizations import reminders
from organizations.models import Reminder, Role
from organizations.tests.factories import MembershipFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/notices"
OFF = "You can turn these emails off at http://testserver/account/notices"


def mute(user, *left: str) -> None:
    notices.change(User.objects.get(pk=user.pk), left, Origin())


def subjects() -> list[str]:
    return [sent.subject for sent in read_mail()]


def test_by_default_i_get_all_and_the_page_says_what_is_always_sent(client, dana):
    sign_in(client, dana)

    page = client.get(PAGE)

    assert page.content.decode().count("checked") == len(Notice)
    assert "Always sent" in text_of(page)
    assert "Turn it off only if you look at your security log yourself." in text_of(page)


def test_i_turn_one_off_which_is_noted_and_mailed(client, dana):
    sign_in(client, dana)

    assert client.post(PAGE, {"wanted": ["reminders"]}).url == "/account/view"

    dana.refresh_from_db()
    assert notices.wanted(dana) == ["reminders"]
    assert subjects()[-1] == "Datica: Optional emails changed"
    assert client.get(PAGE).content.decode().count("checked") == 1


def test_turning_one_off_needs_a_recent_proof(client, dana_with_app):
    """SR-22: an attacker with a session does not become unseen."""
    sign_in(client, dana_with_app)
    session = client.session
    session["proven_at"] -= 3600
    session.save()

    assert client.post(PAGE, {}).url.startswith("/account/confirm")
    assert notices.wanted(User.objects.get(pk=dana_with_app.pk)) == Notice.values


def test_saving_without_a_change_mails_nothing(client, dana):
    sign_in(client, dana)

    client.post(PAGE, {"wanted": Notice.values})

    assert not Mail.objects.exists()


@pytest.mark.parametrize("wanted", [["all"], ["new_browser", "x"], [""]])
def test_an_unknown_one_is_refused(client, dana, wanted):
    sign_in(client, dana)

    assert client.post(PAGE, {"wanted": wanted}).status_code == 400


def test_the_mail_about_a_new_browser_says_where_to_turn_it_off_and_then_does_not_come(client, dana, another_browser):
    sign_in(client, dana)
    sign_in(another_browser(), dana)
    assert OFF in read_mail()[-1].body
    mute(dana)
    read_mail()

    sign_in(another_browser(), dana)

    assert subjects().count("Datica: Signed in with a new browser") == 1


@pytest.mark.parametrize("kind", sorted(security_log.NOTIFIED_BY_EMAIL - {Kind.NEW_BROWSER}))
def test_no_other_notice_can_be_turned_off(dana, kind):
    """SR-54."""
    mute(dana)
    read_mail()

    security_log.record(dana, kind, Origin())

    asks = "Someone entered your password. Was it you?" if kind == Kind.PASSWORD_KNOWN else Kind(kind).label
    assert subjects()[-1] == f"Datica: {asks}"
    assert OFF not in read_mail()[-1].body


@pytest.mark.parametrize("kind", Reminder.Kind)
def test_of_the_mails_about_a_policy_only_those_that_repeat_it_can_be_turned_off(dana, kind):
    """SR-54: a policy that begins or changes is always told."""
    organization = MembershipFactory(user=dana, role=Role.MEMBER).organization
    run = Reminder.objects.create(organization=organization, kind=kind)
    assert reminders.is_wanted(run, dana)

    mute(dana)

    dana.refresh_from_db()
    assert reminders.is_wanted(run, dana) == (kind not in {"owner", "chosen", "week", "day"})


def test_a_reminder_says_where_to_turn_it_off(dana):
    organization = MembershipFactory(user=dana).organization
    for kind in ("owner", "announced"):
        run = Reminder.objects.create(organization=organization, kind=kind)
        Mail.objects.create(task=reminders.REMINDER, user=dana, about=str(run.pk))

    reminder, announcement = read_mail()

    assert OFF in reminder.body
    assert OFF in strip_tags(reminder.alternatives[0][0])
    assert OFF not in announcement.body

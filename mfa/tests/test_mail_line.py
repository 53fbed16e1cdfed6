"""The line that tells the person at the prompt where their mail is."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import mail_progress
from accounts.identifiers import tag_of
from accounts.models import Delivery, Mail
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD, UserFactory
from mfa.models import Challenge
from mfa.tests.factories import add_mode
from organizations import reminders
from organizations.tests.factories import MembershipFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, pending_sign_in_of, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture(name="challenge")
def at_the_prompt(client, dana_with_email):
    give_credentials(client, "dana")
    return pending_sign_in_of(client)


def tell(challenge: Challenge, delivery: Delivery, reason: str = "") -> None:
    """Let a mail server tell something of the newest mail."""
    rows = Mail.objects.filter(about=str(challenge.pk))
    rows.update(
        state=Mail.State.SENT,
        sent_at=timezone.now(),
        delivery=delivery,
        delivery_at=timezone.now(),
        delivery_reason=reason,
    )


def line(client) -> str:
    """Return what the script of the page is told."""
    address = re.search(r'data-follow="([^"]*)"', client.get(OTP).content.decode())[1]
    return text_of(client.get(address))


def test_it_says_when_the_mail_was_sent_and_accepted(client, challenge):
    assert re.fullmatch(r"sent [\d:]{8} UTC", line(client))
    read_mail()  # lets the worker send it
    assert re.fullmatch(r"sent [\d:]{8} UTC · accepted by a mail server [\d:]{8} UTC", line(client))


def test_it_says_when_the_mail_arrived(client, challenge):
    tell(challenge, Delivery.DELIVERED)
    assert re.search(r"accepted by a mail server [\d:]{8} UTC · delivered [\d:]{8} UTC", line(client))


def test_a_server_that_holds_it_back_is_named_as_the_cause(client, challenge):
    tell(challenge, Delivery.DEFERRED, "full")
    assert "Your mail server is holding it back: the mailbox is full." in line(client)
    assert "Your mail server is holding it back" in text_of(client.get(OTP))


def test_a_mail_that_came_back_says_why_and_what_to_do(client, challenge):
    tell(challenge, Delivery.BOUNCED, "no_mailbox")
    told = line(client)
    assert "It came back: there is no such mailbox." in told
    assert "Ask for another email, or choose another way." in told


def test_the_script_stops_when_nothing_more_will_be_told(client, challenge):
    address = re.search(r'data-follow="([^"]*)"', client.get(OTP).content.decode())[1]
    assert "data-over" not in client.get(address).content.decode()
    tell(challenge, Delivery.DELIVERED)
    assert "data-over" in client.get(address).content.decode()


def test_it_is_announced_politely_and_works_without_a_script(client, challenge):
    page = client.get(OTP).content.decode()
    assert re.search(r'role="status" data-follow', page)
    assert "Look again" in page


def test_it_costs_one_read(client, challenge, django_assert_num_queries):
    address = reverse("accounts:mail_progress", args=[mail_progress.token_of(challenge.pk)])
    with django_assert_num_queries(1):
        client.get(address)


@pytest.mark.parametrize("token", ["forged", "x:y:z", "IjEi:1abc:forged"])
def test_a_forged_question_is_answered_like_one_about_nothing(client, challenge, token):
    """Without a right password there is nothing to learn (SR-3)."""
    assert client.get(reverse("accounts:mail_progress", args=[token])).status_code == 404


def test_a_page_of_another_sign_in_tells_of_its_own_mail(client, another_browser, challenge, dana_with_email):
    other = another_browser()
    give_credentials(other, "dana")
    tell(challenge, Delivery.BOUNCED, "full")
    assert "It came back" not in line(other)


def test_the_pages_that_come_before_a_password_tell_nothing(client, dana_with_email):
    """SR-3: a reset looks the same whether there is such an account."""
    client.post("/account/password/reset", {"identifier": "dana"})
    assert b"data-follow" not in client.get("/account/password/reset/complete").content


def test_the_line_leads_to_help_that_explains_each_of_its_words(client, challenge):
    assert "/help/mfa-troubleshooting" in client.get(OTP).content.decode()
    shown = text_of(client.get("/help/mfa-troubleshooting"))
    told = [state.label for state in Delivery if state > Delivery.ACCEPTED]
    for state in ["sent", "accepted by a mail server", *told]:
        assert re.search(rf"\b{state} (:|or)", shown), state


def test_prompt_and_subject_carry_the_tag_of_the_sign_in(client, challenge):
    tag = tag_of(challenge.pk)
    assert re.fullmatch(r"[A-Z][2-9]", tag)
    assert f"Its subject ends with the tag {tag}." in text_of(client.get(OTP))
    assert read_mail()[-1].subject.endswith(f"· {tag}")
    assert f"Its subject ends with the tag {tag}." in text_of(client.post(OTP, {"otp": "000000"}))


def test_the_mail_names_door_and_browser(client, another_browser, dana_with_email):
    firefox = {"HTTP_USER_AGENT": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    give_credentials(another_browser(**firefox), "dana")
    assert "for the sign-in with Firefox on Windows" in read_mail()[-1].body
    terminal = another_browser(HTTP_USER_AGENT="datica-cli-4.4.1 linux amd64")
    terminal.post("/auth/signin", {"identifier": "dana", "password": PASSWORD}, "application/json")
    assert "at the command line with datica command line 4.4.1 on Linux" in read_mail()[-1].body


def test_a_confirmation_names_the_browser_too(another_browser, dana_with_email):
    firefox = another_browser(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    sign_in(firefox, dana_with_email)
    firefox.get("/account/confirm")
    firefox.post("/account/confirm/send")
    assert "It was asked for with Firefox on Linux" in read_mail()[-1].body


def test_an_activation_has_the_line_too(client, dana):
    client.post("/account/mfa/activate", {"type": "email", "identifier": "dana", "password": PASSWORD})
    assert "data-follow" in client.get("/account/mfa/activate/complete").content.decode()
    client.post("/account/mfa/activate", {"type": "authenticator", "identifier": "dana", "password": PASSWORD})
    assert "data-follow" in client.get("/account/mfa/activate/confirm-email").content.decode()


class TestAMailboxThatReturnsMail:
    @pytest.fixture(autouse=True)
    def returned(self, dana):
        dana.mailbox_failed_at, dana.mailbox_failure = timezone.now(), "full"
        dana.save(update_fields=["mailbox_failed_at", "mailbox_failure"])

    def test_the_settings_say_so_and_what_to_do(self, client, dana):
        sign_in(client, dana)
        page = text_of(client.get("/account/view"))
        assert "Mail to this address does not arrive: the mailbox is full" in page
        assert "Mend the mailbox, or change the address." in page

    def test_i_am_warned_when_i_sign_in_in_another_way(self, client, dana):
        add_mode(dana, "authenticator")
        add_mode(dana, "email")
        page = client.get(sign_in(client, dana).url)
        assert "Mail to your address does not arrive: the mailbox is full." in text_of(page)

    def test_who_uses_no_mailed_codes_is_not_warned(self, client, dana):
        add_mode(dana, "authenticator")
        page = client.get(sign_in(client, dana).url)
        assert "does not arrive" not in text_of(page)

    def test_the_owner_sees_it_and_no_reminder_is_sent(self, client, dana):
        owner = UserFactory(email="olaf@example.com")
        add_mode(owner, "authenticator")
        member = MembershipFactory(user=dana)
        mine = MembershipFactory(organization=member.organization, user=owner, role="owner")
        MembershipFactory(organization=member.organization, user=UserFactory())
        sign_in(client, owner)
        page = member.organization.get_absolute_url()
        assert "mail does not arrive" in text_of(client.get(f"{page}/members"))
        asked = text_of(client.get(f"{page}/require"))
        assert "Mail does not arrive for at least 1 member, who gets no reminder." in asked
        reminders.start(mine, Origin())
        assert reminders.fan_out() == 1

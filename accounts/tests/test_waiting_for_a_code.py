"""Pages that wait for a mailed code before a password was right say when it was asked for, and nothing of the mail."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from accounts.identifiers import tag_of
from accounts.models import Delivery, EmailVerification, Mail
from accounts.tests.factories import UserFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.statements import recorded

pytestmark = pytest.mark.django_db

PASSWORD = "an entirely different phrase"
REGISTER = ("/account/register", "/account/verify-email")
RESET = ("/account/password/reset", "/account/password/reset/complete")


def ask(client, page, email):
    """Ask for a code; return the page that waits for it."""
    client.post(page[0], {"identifier": email, "email": email, "password": PASSWORD, "password_confirm": PASSWORD})
    return client.get(page[1])


def raw(response) -> str:
    """Return a page as it is sent, but for what differs each time: tag, time and the token of the form."""
    page = response.content.decode()
    page = re.sub(r'(?<=csrfmiddlewaretoken" value=")[^"]+|(?<=<strong>)[A-Z]\d(?=</strong>)', "…", page)
    return re.sub(r"\d\d:\d\d:\d\d|(?<=data-wait=\")\d+", "…", page)


@pytest.fixture(name="known")
def people_whose_mail_arrives_or_not(dana):
    """An account for each thing that can become of a mail, all with an email of the same look."""
    UserFactory(email="donna@example.com", mailbox_failed_at=timezone.now(), mailbox_failure="no_mailbox")
    UserFactory(email="duncan@example.com", is_active=False)
    return ["dana@example.com", "donna@example.com", "duncan@example.com"]


def let_it_arrive_or_not():
    """Let mail servers tell something different of each mail."""
    read_mail()
    for state, mail in zip(
        (Delivery.DELIVERED, Delivery.BOUNCED, Delivery.FAILED), Mail.objects.exclude(about=""), strict=False
    ):
        Mail.objects.filter(pk=mail.pk).update(
            state=Mail.State.SENT, sent_at=timezone.now(), delivery=state, delivery_at=timezone.now()
        )


@pytest.mark.parametrize("page", [REGISTER, RESET], ids=["registration", "password reset"])
def test_the_page_is_the_same_whether_there_is_an_account_or_a_mailbox(another_browser, known, page):
    """SR-3: the same bytes for the same statements, before and after the mail was delivered, returned or never sent."""
    waiting = [another_browser() for _email in range(5)]
    emails = [*known, "dora@example.com", "dustin@example.com"]
    pages, statements = [], []
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for browser, email in zip(waiting, emails, strict=True):
            ask(browser, page, email)
            clock.shift(timedelta(seconds=1))
        for told in (lambda: None, let_it_arrive_or_not):
            told()
            for browser in waiting:
                with recorded() as asked:
                    pages.append(raw(browser.get(page[1])))
                statements.append(len(asked.sent))

    assert len(set(pages)) == 1
    assert len(set(statements)) == 1
    assert "for d•••@example.com at" in pages[0]


@pytest.mark.parametrize("page", [REGISTER, RESET], ids=["registration", "password reset"])
def test_there_is_nothing_to_poll(client, dana, page):
    """SR-3: a page from before a password was right gets no token, so no one can ask what became of the mail."""
    shown = ask(client, page, dana.email).content.decode()

    assert "data-follow" not in shown
    assert reverse("accounts:mail_progress", args=["token"]).removesuffix("token") not in shown
    proof = EmailVerification.objects.get()
    assert client.get(reverse("accounts:mail_progress", args=[str(proof.pk)])).status_code == 404


@pytest.mark.parametrize("page", [REGISTER, RESET], ids=["registration", "password reset"])
def test_page_and_subject_carry_the_same_tag(client, page):
    email = "new@example.com" if page == REGISTER else UserFactory().email

    shown = text_of(ask(client, page, email))

    tag = tag_of(EmailVerification.objects.get().pk)
    assert f"ends with the tag {tag} ." in shown
    assert read_mail()[-1].subject.endswith(f" · {tag}")


def test_so_does_the_mail_that_says_that_there_is_an_account_already(client, dana):
    shown = text_of(ask(client, REGISTER, dana.email))

    (mail,) = read_mail()
    assert "already have" in mail.subject
    assert f"the tag {mail.subject[-2:]} ." in shown


def test_a_username_is_not_turned_into_its_email(client, dana):
    """SR-3."""
    shown = text_of(ask(client, RESET, dana.username))

    assert re.search(r"You asked for a code at [\d:]{8} UTC\.", shown)
    assert "@" not in shown

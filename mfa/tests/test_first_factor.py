"""The first factor needs the password and the mailbox (SR-23): a stolen password adds none."""

from datetime import timedelta

import pyotp
import pytest
import time_machine
from django.utils import timezone

from accounts.models import KnownBrowser, User
from accounts.tests.factories import PASSWORD
from mfa.models import Challenge, Factor
from mfa.tests.test_activation import ACTIVATE, COMPLETE, CONFIRM, complete_with_app
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

RESET = "/account/password/reset"
NEW = "an entirely different phrase"


def ask(client, mode="authenticator"):
    return client.post(ACTIVATE, {"type": mode, "identifier": "dana", "password": PASSWORD})


def test_a_new_browser_proves_the_mailbox_first(client, dana):
    assert ask(client).url == CONFIRM
    assert not Challenge.objects.exists()

    page = client.get(CONFIRM)
    assert "Enter the code that we sent to D•••@example.com." in text_of(page)
    assert client.post(CONFIRM, {"code": mailed_code()}).url == COMPLETE

    assert complete_with_app(client).url == "/account/login"
    assert Factor.objects.get().mode == "authenticator"


def test_signing_in_first_is_no_way_around(client, dana):
    """The password that opens a session proves no mailbox, however often it is typed."""
    for _time in range(3):
        sign_in(client, dana)
        assert ask(client).url == CONFIRM
        client.post("/account/logout")
    sign_in(client, dana)

    assert client.get("/account/mfa/authenticator/enable").status_code == 200
    assert ask(client).url == CONFIRM
    assert not Factor.objects.exists()


def test_a_wrong_code_leads_no_further_and_the_fifth_ends_it(client, dana):
    ask(client)
    code = mailed_code()

    pages = [client.post(CONFIRM, {"code": "222-222-222"}) for _try in range(5)]

    assert [page.status_code for page in pages] == [400] * 5
    assert client.post(CONFIRM, {"code": code}).url == ACTIVATE
    assert client.get(COMPLETE).status_code == 302


def test_the_code_belongs_to_the_browser_that_gave_the_password(client, another_browser, dana):
    ask(client)

    page = another_browser().post(CONFIRM, {"code": mailed_code()})

    assert page.url == ACTIVATE


def test_a_password_that_was_changed_meanwhile_ends_it(client, dana):
    ask(client)
    code = mailed_code()
    user = User.objects.get(pk=dana.pk)
    user.set_password(NEW)
    user.save()

    assert client.post(CONFIRM, {"code": code}).url == ACTIVATE
    assert not Challenge.objects.exists()


def test_the_code_lives_ten_minutes(client, dana):
    """SR-14."""
    ask(client)
    code = mailed_code()

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert client.post(CONFIRM, {"code": code}).url == ACTIVATE


def test_it_is_sent_again_after_a_pause(client, dana):
    """SR-17."""
    ask(client)
    first = mailed_code()

    assert "Try again in 30 seconds" in text_of(client.post(f"{CONFIRM}/resend", follow=True))
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        client.post(f"{CONFIRM}/resend")

    assert mailed_code() == first
    assert len([message for message in read_mail() if message.body.startswith(first)]) == 2


def test_email_needs_no_code_before_its_own(client, dana):
    """The first code of this mode is a mailed one."""
    assert ask(client, "email").url == COMPLETE


def test_a_browser_that_has_proven_the_mailbox_is_not_asked_again(client, dana):
    client.post(RESET, {"identifier": "dana"})
    new = {"code": mailed_code(), "password": PASSWORD + "!", "password_confirm": PASSWORD + "!"}
    client.post(f"{RESET}/complete", new)

    page = client.post(ACTIVATE, {"type": "authenticator", "identifier": "dana", "password": PASSWORD + "!"})

    assert page.url == COMPLETE


def test_who_has_just_registered_is_not_asked_again(client):
    fields = {"email": "new@example.com", "password": NEW, "password_confirm": NEW}
    client.post("/account/register", fields)
    client.post("/account/verify-email", {"code": mailed_code()})

    page = client.post(ACTIVATE, {"type": "authenticator", "identifier": "new@example.com", "password": ""})

    assert page.url == COMPLETE
    assert KnownBrowser.objects.get().mailbox_proven_at


def test_the_browser_of_another_account_has_proven_nothing(client, dana, sam):
    client.post(RESET, {"identifier": "sam"})
    client.post(f"{RESET}/complete", {"code": mailed_code(), "password": NEW, "password_confirm": NEW})

    assert ask(client).url == CONFIRM


def test_a_changed_address_proves_nothing_against_its_undoing(client, another_browser, dana):
    """SR-29: a thief of the password moves the account to another mailbox and enrols an app from there."""
    thief = another_browser()
    sign_in(thief, dana)
    thief.post("/account/confirm", {"password": PASSWORD})
    thief.post("/account/email", {"email": "thief@example.com"})
    thief.post("/account/email/confirm", {"code": mailed_code()})
    thief.post(ACTIVATE, {"type": "authenticator", "identifier": "dana", "password": PASSWORD})
    thief.post(CONFIRM, {"code": mailed_code()})
    complete_with_app(thief)
    assert Factor.objects.exists()
    undo = next(
        line.partition("testserver")[2]
        for message in read_mail()
        for line in message.body.splitlines()
        if "/email/undo/" in line
    )

    client.post(undo)
    client.post(RESET, {"identifier": "dana@example.com"})
    client.post(f"{RESET}/complete", {"code": mailed_code(), "password": NEW, "password_confirm": NEW})

    assert give_credentials(client, "dana@example.com", NEW).url == "/account"
    assert is_signed_in(client)
    assert not is_signed_in(thief)


def test_a_factor_from_before_the_change_survives_the_undoing(client, another_browser, dana_with_app):
    """SR-29: MFA still stands before the account."""
    from accounts import email_change
    from accounts.security_log import Origin
    from mfa import factors

    proof = email_change.ask(dana_with_app, "else@example.com", Origin())
    email_change.complete(proof, proof.code, Origin(), session_key=None)
    email_change.undo(email_change.EmailChange.objects.get(), Origin(), remove_factors=factors.remove_all)

    assert Factor.objects.get().mode == "authenticator"


def test_the_secret_is_shown_only_after_the_mailbox_was_proven(client, dana):
    """SR-20."""
    ask(client)
    assert client.get(COMPLETE).url == ACTIVATE
    client.post(CONFIRM, {"code": mailed_code()})

    secret = client.get(COMPLETE).context["secret_plain"]

    assert client.post(COMPLETE, {"otp": pyotp.TOTP(secret).at(timezone.now())}).status_code == 302

"""Where MFA is off, sensitive changes ask for the password (SR-22 asks for more where it is on)."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import Token
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from mfa.models import Challenge
from mfa.tests.factories import add_mode
from mfa.tests.test_activation import activate
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

END_OTHERS = "/account/sessions/end-others"
CONFIRM = f"/account/confirm?next={END_OTHERS.replace('/', '%2F')}"


@pytest.fixture
def later():
    with time_machine.travel(timezone.now(), tick=False) as clock:
        yield lambda: clock.shift(timedelta(minutes=11))


def test_just_after_signing_in_nobody_is_asked(client, dana):
    sign_in(client, dana)

    assert client.post(END_OTHERS).url == "/account/sessions"


def test_some_minutes_later_i_am_asked_once_and_led_back(client, dana, later):
    sign_in(client, dana)
    later()

    asked = client.post(END_OTHERS)
    assert asked.url == CONFIRM
    assert "Confirm this change with your password" in text_of(client.get(CONFIRM))
    led = client.post(CONFIRM, {"password": PASSWORD, "next": END_OTHERS})

    assert led.url == END_OTHERS
    assert "Sign out all other sessions?" in text_of(client.get(END_OTHERS))
    assert client.post(END_OTHERS).url == "/account/sessions"


def test_a_wrong_password_changes_nothing_and_is_limited(client, dana, later):
    """SR-5."""
    from accounts import tokens

    sign_in(client, dana)
    tokens.issue(dana, Origin(), mode="")
    later()

    pages = [client.post(CONFIRM, {"password": "wrong", "next": END_OTHERS}) for _try in range(6)]
    client.post(END_OTHERS)

    assert [page.status_code for page in pages] == [400] * 5 + [429]
    assert Token.objects.exists()


def test_it_leads_nowhere_else(client, dana, later):
    """SR-9."""
    sign_in(client, dana)

    led = client.post("/account/confirm", {"password": PASSWORD, "next": "//evil.example"})

    assert led.url.startswith("/account/view")


@pytest.mark.parametrize("page", ["/account/password/change", "/account/mfa/activate", "/account/mfa/email/enable"])
def test_a_page_that_asks_for_it_itself_does_not_ask_twice(client, dana, later, page):
    sign_in(client, dana)
    later()

    assert client.get(page).status_code == 200


def test_where_mfa_is_on_a_password_is_no_proof(client, dana_with_app, later):
    """SR-22."""
    sign_in(client, dana_with_app)
    later()

    client.post(CONFIRM, {"password": PASSWORD, "next": END_OTHERS})

    assert client.post(END_OTHERS).url == CONFIRM


def test_a_fresh_password_never_adds_a_second_factor(client, dana, monkeypatch):
    """SR-22: not even when the first one comes between the look at the account and the lock."""
    from accounts import signin

    sign_in(client, dana)
    real = signin.lock_checked

    def first_factor_meanwhile(user):
        add_mode(user, "email")
        return real(user)

    monkeypatch.setattr(signin, "lock_checked", first_factor_meanwhile)
    page = activate(client, "authenticator")

    assert page.url.startswith("/account/view")
    assert not Challenge.objects.exists()

"""Signing in and out with a password, and what nobody learns from trying."""

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from accounts.models import SecurityEvent, Session, User
from accounts.tests.factories import PASSWORD, UserFactory
from tests.pages import text_of
from tests.shortcuts import ARGON2
from tests.signing_in import LOGIN, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("identifier", ["dana", "DANA", " dana ", "dana@example.com", "DANA@Example.COM", "ｄａｎａ"])
def test_i_sign_in_by_name_or_address_however_i_spell_it(client, dana, identifier):
    """SR-4."""
    response = give_credentials(client, identifier)

    assert response.url == "/account"
    assert is_signed_in(client)


def test_two_accounts_never_differ_by_spelling_alone(dana):
    """SR-4."""
    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        UserFactory(email="dANA@EXAMPLE.com")


def test_wrong_password_unknown_account_and_disabled_account_read_the_same(client, dana):
    """SR-3."""
    disabled = UserFactory(is_active=False)

    pages = [
        give_credentials(client, "dana", "not it at all"),
        give_credentials(client, "nobody@example.com"),
        give_credentials(client, disabled.email),
    ]

    assert {page.status_code for page in pages} == {400}
    assert {text_of(page) for page in pages} == {text_of(pages[0])}
    assert "Incorrect username, email or password" in text_of(pages[0])
    assert not is_signed_in(client)


def test_the_password_is_kept_as_argon2id(dana):
    """SR-1."""
    assert dana.password.startswith("argon2$argon2id$")
    assert ARGON2["time_cost"] >= 2
    assert ARGON2["memory_cost"] >= 102_400
    assert ARGON2["parallelism"] >= 1


def test_a_weaker_hash_is_made_stronger_when_i_sign_in(client, dana):
    """SR-1."""
    User.objects.filter(pk=dana.pk).update(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000))

    sign_in(client, dana)

    dana.refresh_from_db()
    assert dana.password.startswith("argon2$argon2id$")


def test_signing_out_ends_the_session_and_is_a_post(client, dana):
    """SR-45."""
    sign_in(client, dana)

    assert client.get("/account/logout").status_code == 405
    client.post("/account/logout")

    assert not is_signed_in(client)
    assert not Session.objects.filter(user=dana).exists()


def test_the_session_key_changes_when_i_sign_in(client, dana):
    """SR-8."""
    client.get(LOGIN)
    session = client.session
    session["before"] = "yes"
    session.save()
    before = session.session_key

    sign_in(client, dana)

    assert client.session.session_key != before
    assert "before" not in client.session


def test_forms_hold_csrf_protection(dana):
    """SR-8. A browser without cookies reads what to do."""
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)

    page = give_credentials(strict, "dana")

    assert page.status_code == 403
    assert "Allow cookies for this site" in text_of(page)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%2Fevil.example",
        "/%5Cevil.example",
        "/%255Cevil.example",
        "/\tevil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "account",
        "/" + "x" * 3000,
    ],
)
def test_next_never_leads_off_the_site(client, dana, path):
    """SR-9."""
    response = give_credentials(client, "dana", next=path)

    assert response.status_code in {302, 400}
    assert response.status_code == 400 or response.url == "/account"


def test_next_leads_where_i_wanted_to_go(client, dana):
    page = client.get("/account/view?mfa=open")
    assert page.url == "/account/login?next=/account/view%3Fmfa%3Dopen"

    response = give_credentials(client, "dana", next="/account/view?mfa=open")

    assert response.url == "/account/view?mfa=open"


def test_what_happened_is_written_down_without_the_password(client, dana):
    """SR-53."""
    give_credentials(client, "dana", "not it at all")
    sign_in(client, dana)
    client.post("/account/logout")

    events = SecurityEvent.objects.filter(user=dana).order_by("id")
    assert [event.kind for event in events] == ["sign_in_refused", "signed_in", "signed_out"]
    assert {event.ip_address for event in events} == {"127.0.0.1"}


def test_the_sign_in_page_asks_the_database_nothing(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.get(LOGIN)


def test_the_front_door_leads_to_the_dashboard_and_that_to_the_sign_in_page(client):
    assert client.get("/").url == "/account"
    assert client.get("/account").url == "/account/login?next=/account"

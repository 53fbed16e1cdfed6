"""Where typing starts, and how a page tells what is wrong."""

import re

import pytest

from mfa.tests.factories import add_mode
from tests.codes import app_code
from tests.signing_in import OTP, PASSWORD, give_credentials

pytestmark = pytest.mark.django_db

INPUT = re.compile(r"<(?:input|select|textarea|fieldset)[^>]*>")


def focused(page: str) -> list[str]:
    """Return what takes the focus when a page is shown: names of fields, or the class of a group."""
    tags = [tag for tag in INPUT.findall(page) if "autofocus" in tag]
    return [re.search(r'(?:name|class)="([^"]*)"', tag)[1] for tag in tags]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/account/login", "identifier"),
        ("/account/register", "email"),
        ("/account/password/reset", "identifier"),
        ("/account/mfa/activate", "identifier"),
        ("/account/mfa/activate?type=email", "identifier"),
    ],
)
def test_typing_starts_in_the_first_field(client, path, field):
    assert focused(client.get(path).content.decode()) == [field]


def test_typing_starts_in_the_field_of_the_code(client, dana):
    """And starts there again after a wrong one."""
    add_mode(dana, "authenticator")
    give_credentials(client, dana)
    assert focused(client.get(OTP).content.decode()) == ["otp"]

    page = client.post(OTP, {"otp": "000000"}).content.decode()

    assert focused(page) == ["otp"]
    assert "<title>Error: One Time Password" in page
    assert 'aria-describedby="id_otp_helptext id_otp_error"' in page
    assert "You have 4 tries left." in page


def test_the_prompt_says_in_words_how_long_it_lasts(client, dana):
    add_mode(dana, "authenticator")
    give_credentials(client, dana)

    page = client.get(OTP).content.decode()

    assert re.search(r"You have (9|10)\xa0minutes to enter a code, until <time", page)


def test_typing_starts_in_the_first_wrong_field_and_several_are_listed(client):
    """Each entry leads to its field."""
    page = client.post(
        "/account/register", {"email": "dana@new.example", "password": "short", "password_confirm": ""}
    ).content.decode()

    assert focused(page) == ["password"]
    assert page.count("<title>Error: ") == 1
    summary = page[page.index('aria-label="Errors"') : page.index("</nav>", page.index('aria-label="Errors"'))]
    assert 'href="#id_password"' in summary
    assert 'href="#id_password_confirm"' in summary
    assert 'id="id_password_confirm"' in page


def test_one_error_stands_at_its_field_alone(client):
    page = client.post("/account/login", {"identifier": "dana", "password": ""}).content.decode()

    assert focused(page) == ["password"]
    assert 'aria-label="Errors"' not in page


@pytest.mark.django_db
def test_after_a_wrong_password_it_is_the_password_that_is_typed_again(client, dana):
    page = client.post("/account/login", {"identifier": "dana", "password": "wrong"}).content.decode()

    assert focused(page) == ["password"]


def test_a_choice_that_is_missing_is_told_at_its_group(client):
    """The group takes the focus, and a screen reader reads the error with its legend."""
    page = client.post("/account/mfa/activate", {"identifier": "dana", "password": PASSWORD}).content.decode()

    assert focused(page) == ["types wrong"]
    group = next(tag for tag in INPUT.findall(page) if tag.startswith("<fieldset"))
    assert 'aria-describedby="id_type_error"' in group
    assert 'id="id_type_error"' in page


def test_a_page_that_shows_codes_first_does_not_jump_to_its_form(client, dana):
    add_mode(dana, "authenticator")
    give_credentials(client, dana)
    client.post(OTP, {"otp": app_code(dana)})

    page = client.post("/account/mfa/recovery-codes", follow=True).content.decode()

    assert 'name="code"' in page
    assert focused(page) == []

"""The people of the stories, and what they do most."""

import re
from html import unescape

import pyotp
import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import outbox
from accounts.models import Mail, Mode
from accounts.tests.factories import PASSWORD, UserFactory
from mfa import codes
from mfa.models import Factor
from mfa.tests.factories import add_mode

LOGIN = "/account/login"
OTP = "/account/login/otp"


@pytest.fixture(scope="session", autouse=True)
def static_files():
    """Pages name static files by their hash, which must be known. `make test` has seen to it."""
    if not (settings.STATIC_ROOT / "staticfiles.json").exists():
        call_command("collectstatic", interactive=False, verbosity=0)


# What a password costs where the portal runs.
ARGON2 = {name: getattr(Argon2PasswordHasher, name) for name in ("time_cost", "memory_cost", "parallelism")}


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing():
    """Let a password cost a millisecond: half of the time of a run went into them. SR-1 has its own test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Argon2PasswordHasher, "time_cost", 1)
        patch.setattr(Argon2PasswordHasher, "memory_cost", 64)
        patch.setattr(Argon2PasswordHasher, "parallelism", 1)
        yield


@pytest.fixture(autouse=True)
def only_where_it_can_run(request):
    if request.node.get_closest_marker("postgresql"):
        request.getfixturevalue("transactional_db")
        if connection.vendor != "postgresql":
            pytest.skip("row locks: this run is on SQLite, `make test` runs it again on PostgreSQL")


@pytest.fixture
def dana(db):
    return UserFactory(email="Dana@example.com", username="dana", name="Dana Reyes")


@pytest.fixture
def sam(db):
    return UserFactory(email="sam@example.com", username="sam")


@pytest.fixture
def dana_with_email(dana):
    add_mode(dana, Mode.EMAIL)
    return dana


@pytest.fixture
def dana_with_app(dana):
    add_mode(dana, Mode.AUTHENTICATOR)
    return dana


@pytest.fixture
def dana_with_both(dana):
    add_mode(dana, Mode.AUTHENTICATOR)
    add_mode(dana, Mode.EMAIL)
    return dana


@pytest.fixture
def another_browser():
    """Make further browsers."""
    return Client


def app_code(user, *, step: int = 0) -> str:
    """Read the user's authenticator app, ``step`` time steps from now."""
    secret = Factor.objects.get(user=user, mode=Mode.AUTHENTICATOR).secret
    return pyotp.HOTP(codes.base32(secret)).at(codes.step_at(timezone.now()) + step)


def read_mail() -> list:
    """Let the worker's tasks run over what is queued, and give all mails that were sent."""
    for row in Mail.objects.filter(state=Mail.State.QUEUED).order_by("created_at"):
        outbox.send_here(row)
    return mail.outbox


def mailed_code() -> str:
    """Read the code of the newest mail with one."""
    for message in reversed(read_mail()):
        if found := re.match(r"([0-9]{6}|[0-9A-Z]{3}(?:-[0-9A-Z]{3})+) is your", message.body):
            return found[1]
    raise AssertionError("no mail with a code")


def text_of(response) -> str:
    """Give what a page says, without its tags."""
    page = re.sub(r"(?s)<(script|style|svg).*?</\1>", " ", response.content.decode())
    page = re.sub(r"</?time\b[^>]*>", "", page)  # stands within a sentence
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def give_credentials(client, identifier, password=PASSWORD, **fields):
    return client.post(LOGIN, {"identifier": identifier, "password": password, **fields})


def sign_in(client, user):
    """Sign in, with the app's or the mailed code where one is due."""
    response = give_credentials(client, user.email)
    user.refresh_from_db()
    if user.preferred_mode:
        otp = app_code(user) if user.preferred_mode == Mode.AUTHENTICATOR else mailed_code()
        response = client.post(OTP, {"otp": otp})
    assert response.status_code == 302, text_of(response)
    return response


def is_signed_in(client) -> bool:
    return client.get("/account/view").status_code == 200

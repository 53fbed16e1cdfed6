"""A misconfiguration is refused at the start, with the name of the setting (SR-51)."""

import os
import subprocess
import sys

import pytest

from tests.check import PRODUCTION


def start(**environment) -> subprocess.CompletedProcess:
    """Load the settings in a process of their own."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    given = {name: value for name, value in {**PRODUCTION, **environment}.items() if value is not None}
    command = [sys.executable, "-c", "import django; django.setup()"]
    settings = {"DJANGO_SETTINGS_MODULE": "datica_account.settings"}
    return subprocess.run(command, env={**clean, **given, **settings}, capture_output=True, text=True, check=False)


def test_a_complete_environment_starts():
    done = start()

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("SECRET_KEY", "short"),
        ("ENCRYPTION_KEYS", None),
        ("ENCRYPTION_KEYS", "short"),
        ("DATABASE_URL", None),
        ("DATABASE_URL", "mongodb://somewhere"),
        ("CELERY_BROKER_URL", None),
        ("EMAIL_BACKEND", None),
        ("EMAIL_URL", "smoke://signals"),
        ("EMAIL_URL", "console:"),
        ("EMAIL_URL", None),
        ("SITE_URL", None),
        ("ALLOWED_HOSTS", None),
        ("DEFAULT_FROM_EMAIL", None),
        ("CHALLENGE_LIFETIME", "soon"),
        ("PASSWORD_MIN_LENGTH", "3"),
        ("ANYMAIL", "{not json"),
        ("EMAIL_TIMEOUT", "long"),
        ("DEBUG", "1"),
    ],
)
def test_a_missing_or_wrong_setting_is_named(name, value):
    done = start(**{name: value})

    assert done.returncode != 0
    assert name in done.stderr


def test_all_that_is_missing_is_named_at_once():
    done = start(SECRET_KEY=None, DATABASE_URL=None)

    assert "SECRET_KEY" in done.stderr
    assert "DATABASE_URL" in done.stderr


@pytest.mark.parametrize(
    "backend", ["datica_account.development.MailFiles", "django.core.mail.backends.console.EmailBackend"]
)
def test_mail_that_goes_nowhere_is_refused_in_production(backend):
    done = start(EMAIL_BACKEND=backend)

    assert done.returncode != 0
    assert "EMAIL_BACKEND" in done.stderr


def test_cookies_are_bound_to_the_host_and_to_https_in_production():
    """SR-34."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    program = "from django.conf import settings as s; print(s.SESSION_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.DEBUG)"
    command = [sys.executable, "-c", program]
    settings = {"DJANGO_SETTINGS_MODULE": "datica_account.settings"}

    done = subprocess.run(command, env={**clean, **PRODUCTION, **settings}, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["__Host-session", "True", "False"]

"""A misconfiguration is refused at the start, with the names of all settings that are wrong (SR-51)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from datica_account import renamed
from datica_account.environment import mail_server
from tests.check import PRODUCTION

ROOT = Path(__file__).resolve().parent.parent
MAIL_OPTIONS = ("host", "port", "username", "password", "use_tls", "use_ssl")


def start(code="import django; django.setup()", **environment) -> subprocess.CompletedProcess:
    """Load the settings in a process of their own."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    given = {name: value for name, value in {**PRODUCTION, **environment}.items() if value is not None}
    command = [sys.executable, "-c", code]
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
        ("EMAIL_FALLBACK_URL", "smoke://signals"),
        ("EMAIL_FALLBACK_URL", "console:"),
        ("EMAIL_FALLBACK_BACKEND", "anymail.backends.console.EmailBackend"),
        ("EMAIL_FALLBACK_AFTER", "0"),
        ("MAIL_KEPT_FOR", "0"),
        ("ACCOUNT_DELETION_WAIT", "0"),
        ("SITE_URL", None),
        ("ALLOWED_HOSTS", None),
        ("DEFAULT_FROM_EMAIL", None),
        ("CHALLENGE_LIFETIME", "soon"),
        ("PASSWORD_MIN_LENGTH", "3"),
        ("ANYMAIL", "{not json"),
        ("EMAIL_TIMEOUT", "long"),
        ("DEBUG", "1"),
        ("EMAIL_BACKEND", "anymail.backends.console.EmailBackend"),
        ("EMAIL_BACKEND", "anymail.backends.test.EmailBackend"),
        ("OTP_FAILURES_PER_CHALLENGE", "0"),
        ("OTP_FAILURES_PER_WINDOW", "0"),
        ("OTP_FAILURES_IN_A_ROW", "0"),
        ("CHALLENGE_LIFETIME", "-1"),
        ("SESSION_LIFETIME", "0"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("ALLOWED_HOSTS", "*"),
        ("SECRET_KEY", "=" * 60),
        ("MAIL_REPORT_PROVIDERS", "postmark"),  # without a secret its reports could be forged
        ("MAIL_REPORT_PROVIDERS", "pigeons"),
        ("BOUNCE_ADDRESS", "bounces"),
        ("ADMINS", "dana"),
        ("SUPPORT_CONTACT", "the front desk"),
        ("SUPPORT_CONTACT", "http://support.example.com"),
        ("SUPPORT_CONTACT", "javascript:alert(1)//@example.com"),
        ("SENTRY_DSN", "sentry.example.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("BOUNCE_ADDRESS", "a-local-part-that-is-too-long@example.com"),
    ],
)
def test_a_missing_or_wrong_setting_is_named(name, value):
    done = start(**{name: value})

    assert done.returncode != 0
    assert name in done.stderr


# Each of the ways to start a part of the portal.
STARTS = {
    "manage.py": ["manage.py", "check"],
    "gunicorn": ["-m", "gunicorn", "datica_account.wsgi", "--workers", "3", "--bind", "127.0.0.1:0"],
    "worker": ["-m", "celery", "-A", "datica_account", "worker"],
    "clock": ["-m", "celery", "-A", "datica_account", "beat"],
}


def refusal(arguments, **environment) -> str:
    """Start a part of the portal in vain; give what it says."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("The portal cannot start.") == 1
    return done.stderr


@pytest.mark.parametrize("start", STARTS)
def test_a_start_with_nothing_set_names_all_that_is_missing_in_one_message(start):
    """SR-51."""
    said = refusal(STARTS[start])

    named = re.findall(r"(?m)^  ([A-Z_]+) is not set\. Set it to ", said)
    table = (ROOT / "README.md").read_text()
    required = set(re.findall(r"(?m)^\| `([A-Z_]+)` \| \*\*required\*\* \|", table))
    assert set(named) == required
    assert len(named) == len(set(named))


def test_wrong_ones_are_named_together_with_missing_ones_and_no_value_is_repeated():
    said = refusal(
        STARTS["manage.py"],
        SECRET_KEY="short-secret",
        ENCRYPTION_KEYS="short-key",
        DATABASE_URL="postgres://portal:hidden/hidden@host:port/portal",
        CELERY_BROKER_URL="nowhere",
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        EMAIL_URL="smtp://portal:hidden@mail:port",
        SITE_URL="portal.example.com",
        ALLOWED_HOSTS="",
        DEBUG="1",
        TRUSTED_PROXIES="everywhere",
        API_PREFIXES="v2",
        LOG_LEVEL="loud",
    )

    named = set(re.findall(r"(?m)^  ([A-Z_]+) ", said))
    assert named == {
        "SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL", "SITE_URL", "ALLOWED_HOSTS",
        "DEBUG", "TRUSTED_PROXIES", "API_PREFIXES", "LOG_LEVEL", "DEFAULT_FROM_EMAIL",
    }  # fmt: skip
    assert not re.search("short-secret|short-key|hidden|nowhere|everywhere", said)


def test_every_variable_with_a_type_is_named_when_it_is_wrong():
    """None of them is worked with before all were looked at."""
    source = (ROOT / "datica_account" / "settings.py").read_text()
    typed = set(re.findall(r'env\.(?:int|bool|timedelta|json)\(\s*"(\w+)"', source))
    assert len(typed) > 30

    said = refusal(STARTS["manage.py"], **{**PRODUCTION, **dict.fromkeys(typed, "{wrong")})

    assert set(re.findall(r"(?m)^  ([A-Z_]+) is wrong: ", said)) == typed


def test_a_second_way_for_mail_by_smtp_needs_its_address():
    said = refusal(
        STARTS["manage.py"],
        **{**PRODUCTION, "EMAIL_FALLBACK_BACKEND": "django.core.mail.backends.smtp.EmailBackend"},
    )

    assert "  EMAIL_FALLBACK_URL is not set, but EMAIL_FALLBACK_BACKEND needs a mail server." in said


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "SITE_URL", "DEFAULT_FROM_EMAIL"])
def test_a_blank_setting_is_as_good_as_a_missing_one(name):
    said = refusal(STARTS["manage.py"], **{**PRODUCTION, name: ""})

    assert f"  {name} is not set." in said


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


OLD_NAMES = sorted(renamed.OLD_NAMES)


@pytest.mark.parametrize("old", OLD_NAMES)
def test_a_setting_of_the_last_release_works_under_its_old_name_and_says_so(old, monkeypatch, capsys):
    new = renamed.OLD_NAMES[old]
    monkeypatch.setenv(old, "7")
    monkeypatch.delenv(new, raising=False)

    assert renamed.read_old_names() == [old]

    assert os.environ.pop(new) == "7"
    assert f"{old} is now called {new}." in capsys.readouterr().err


def test_the_new_name_wins(monkeypatch):
    monkeypatch.setenv("SESSION_IDLE", "60")
    monkeypatch.setenv("SESSION_IDLE_TIMEOUT", "120")

    renamed.read_old_names()

    assert os.environ["SESSION_IDLE_TIMEOUT"] == "120"


def checked(**environment) -> str:
    """Run ``check --deploy`` on a production environment with these changes."""
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    command = [sys.executable, "-W", "ignore", "manage.py", "check", "--deploy"]
    done = subprocess.run(
        command, env={**clean, **PRODUCTION, **environment}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def test_what_works_and_is_worth_a_second_look_is_told_with_an_id_and_a_hint():
    said = checked(
        DATABASE_URL="sqlite:////tmp/portal", CELERY_BROKER_URL="filesystem://", TRUSTED_PROXIES="", TOKEN_IDLE="3600"
    )

    assert re.findall(r"datica\.W\d+", said) == ["datica.W001", "datica.W002", "datica.W003", "datica.W004"]
    assert said.count("HINT: ") == 4
    assert "datica.W005" in checked(SITE_URL="http://portal.example.com")
    assert "datica." not in checked()


def test_a_secret_comes_from_the_file_that_its_variable_names(tmp_path):
    """The white space around it is not part of it: editors end a file with a new line."""
    key = tmp_path / "encryption-keys"
    key.write_text(f"  {PRODUCTION['ENCRYPTION_KEYS']}\n")
    shown = "from datica_account import settings; print(settings.ENCRYPTION_KEYS)"

    done = start(shown, ENCRYPTION_KEYS=None, ENCRYPTION_KEYS_FILE=str(key))

    assert done.stdout.strip() == str([PRODUCTION["ENCRYPTION_KEYS"]]), done.stderr


def test_a_secret_that_cannot_be_read_is_one_line_of_the_refusal(tmp_path):
    """SR-51: a missing file, one that is not text, and a variable set in both ways are named like any other problem."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")

    done = start(
        SECRET_KEY=None,
        SECRET_KEY_FILE=str(tmp_path / "missing"),
        ENCRYPTION_KEYS=None,
        ENCRYPTION_KEYS_FILE=str(binary),
        DATABASE_URL_FILE=str(binary),
        LOG_LEVEL="loud",
    )

    assert re.findall(r"(?m)^  (\w+ .*?) Set ", done.stderr) == [
        "SECRET_KEY cannot be read from the file that SECRET_KEY_FILE names.",
        "ENCRYPTION_KEYS cannot be read from the file that ENCRYPTION_KEYS_FILE names.",
        "DATABASE_URL is set twice, by DATABASE_URL_FILE, too.",
        "LOG_LEVEL is not a level.",
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail", ("mail", 25, "", "", False, False)),
        ("submission://dana:p%40ss%2Fword@mail", ("mail", 587, "dana", "p@ss/word", True, False)),
        ("smtps://dana:secret@mail", ("mail", 465, "dana", "secret", False, True)),
        ("smtp://mail:2525?tls=1", ("mail", 2525, "", "", True, False)),
        ("smtp://[::1]:2525?ssl=1", ("::1", 2525, "", "", False, True)),
    ],
)
def test_the_address_of_a_mail_server_says_how_to_speak_to_it(url, expected):
    """RFC 8314."""
    assert tuple(mail_server(url)[name] for name in MAIL_OPTIONS) == expected


@pytest.mark.parametrize("url", ["", "mail:25", "smtp://", "smtp://mail:port", "console:", "smtp://mail?tls=maybe"])
def test_what_is_no_address_of_a_mail_server_is_none(url):
    assert mail_server(url) == {}

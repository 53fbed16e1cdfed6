"""Settings, read once from the environment. The README's table explains each for operators.

``DEVELOPMENT=1`` is for one person on one machine: it brings defaults for everything. Without it
nothing sensitive has a default, and a missing or wrong variable stops the start by name.
"""

import logging
import os
import re
import secrets
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import structlog
from csp.constants import NONE, SELF
from environs import validate

from datica_account import mail_providers
from datica_account.environment import SettingsEnv, mail_server
from datica_account.extras import are_installed
from datica_account.logs import hide_secrets
from datica_account.refusal import NOT_SET, Problems
from datica_account.renamed import read_old_names

BASE_DIR = Path(__file__).resolve().parent.parent

OLD_SETTINGS_USED = read_old_names()
env = SettingsEnv()
AT_LEAST_ONE = validate.Range(min=1)  # a limit of 0 would be no limit
POSITIVE = validate.Range(min=timedelta(seconds=1), max=timedelta(days=3660))

DEVELOPMENT = env.bool("DEVELOPMENT", default=False)
# Django's own error pages, which show code and settings: for whoever changes the portal, not for trying it.
DEBUG = env.bool("DEBUG", default=False)
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()


def development_key(name: str) -> str | None:
    """Read, or on first start create, a key of this developer's machine; None in production."""
    if not DEVELOPMENT:
        return None
    path = DATA_DIR / name
    if not path.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(64))
    return path.read_text()


def required(name: str, development: str | None) -> str:
    """Read a variable that has a default in development only; blank is as good as missing."""
    not_blank = validate.Length(min=1, error=NOT_SET)
    return str(env.str(name, default=development) if DEVELOPMENT else env.str(name, validate=not_blank))


def host_of(url: str) -> str:
    """Return the host of an address, blank if it is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def origin_of(url: str) -> str:
    """Return the origin of an address as browsers write it: without a path, and without the usual port."""
    scheme, _colon, rest = url.lower().partition("://")
    usual = {"https": ":443", "http": ":80"}.get(scheme, "")
    return f"{scheme}://{rest.split('/')[0].removesuffix(usual)}"


# --- keys and addresses ---------------------------------------------------------------------

SECRET_KEY = required("SECRET_KEY", development_key("secret-key"))
# Encrypt secrets of factors and challenges: the first encrypts, all decrypt (SR-18).
ENCRYPTION_KEYS: list[str] = env.list("ENCRYPTION_KEYS", default=[development_key("encryption-key") or ""])
# Where people reach the portal. Links in mail start with it, never with a Host header (SR-47).
SITE_URL = required("SITE_URL", f"http://localhost:{env.str('PORT', default='8000')}").rstrip("/")
SITE_NAME = env.str("SITE_NAME", default="Datica")
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"] if DEVELOPMENT else []
)
CSRF_TRUSTED_ORIGINS = [SITE_URL]
SECURE = SITE_URL.startswith("https://")
# Passkeys: the domain that they are bound to, and the origins whose pages may ask for them (WebAuthn 3).
RP_ID = env.str("RP_ID", default=host_of(SITE_URL))
RP_NAME = env.str("RP_NAME", default=SITE_NAME)
RP_ORIGINS: list[str] = env.list("RP_ORIGINS", default=[origin_of(SITE_URL)])

# --- applications ---------------------------------------------------------------------------

INSTALLED_APPS = [
    "datica_account.apps.PortalConfig",
    "datica_account.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "django_otp",
    "anymail",
    "csp",
    "django_structlog",
    "ninja",
    "accounts",
    "mfa",
    "organizations",
]

MIDDLEWARE = [
    "datica_account.health.answer_probes",
    "datica_account.request_metrics.Before",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "accounts.web.languages.speak_language_of_browser",
    "datica_account.middleware.speak_json",
    "datica_account.middleware.speak_plainly",
    "accounts.web.responses.response_headers",
    "datica_account.middleware.refuse_malformed_requests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.web.authentication.AuthenticationMiddleware",
    "accounts.web.languages.speak_language_of_user",
    "accounts.web.time_zones.show_times_of_reader",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "accounts.web.responses.tell_of_ended_session",
    "datica_account.middleware.RequestLog",
    "accounts.web.access.SignInMiddleware",
    "accounts.web.access.AccessMiddleware",
    "datica_account.request_metrics.After",
]

ROOT_URLCONF = "datica_account.urls"
WSGI_APPLICATION = "datica_account.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "organizations.web.context.menu",
                "datica_account.context.site",
            ],
        },
    },
]

FORM_RENDERER = "datica_account.form_renderer.FormRenderer"

# --- data -----------------------------------------------------------------------------------

DATABASE_URL = required("DATABASE_URL", f"sqlite:///{DATA_DIR / 'portal.sqlite3'}")
DATABASE_POOL = env.bool("DATABASE_POOL", default=True)
DATABASE_PREPARED = env.bool("DATABASE_PREPARED", default=True)
DATABASE_SERVER_CURSORS = env.bool("DATABASE_SERVER_CURSORS", default=True)
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=4, validate=AT_LEAST_ONE)
DATABASE_PATIENCE = 5  # seconds: a page that says so is better than one that never comes
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- people and sessions --------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "accounts:dashboard"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
PASSWORD_MIN_LENGTH = env.int("PASSWORD_MIN_LENGTH", default=12, validate=validate.Range(min=8))
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_LENGTH},
    },
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "username", "name")},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.password_validation.NotWithdrawnValidator"},
]
SESSION_ENGINE = "accounts.session_store"
SESSION_COOKIE_NAME = "__Host-session" if SECURE else "session"
SESSION_LIFETIME = env.timedelta("SESSION_LIFETIME", default=timedelta(days=14), validate=POSITIVE)
# Without a request for so long a browser is signed out (SR-34).
SESSION_IDLE_TIMEOUT = env.timedelta("SESSION_IDLE_TIMEOUT", default=timedelta(hours=12), validate=POSITIVE)
# The same for the command-line client (SR-35).
TOKEN_LIFETIME = env.timedelta("TOKEN_LIFETIME", default=timedelta(days=30), validate=POSITIVE)
TOKEN_IDLE_TIMEOUT = env.timedelta("TOKEN_IDLE_TIMEOUT", default=timedelta(hours=24), validate=POSITIVE)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE else "csrf"
MESSAGE_STORAGE = "datica_account.flash_messages.Storage"
MESSAGE_COOKIE_NAME = "__Host-messages" if SECURE else "messages"

# Marks a browser in which somebody has signed in before (SR-5).
BROWSER_COOKIE_NAME = "__Host-browser" if SECURE else "browser"
# Holds the sign-in that waits for its one-time password.
SIGN_IN_COOKIE_NAME = "__Host-sign-in" if SECURE else "sign-in"
# Keeps the invitation that brought a user here while they register or sign in.
INVITATION_COOKIE_NAME = "__Host-invitation" if SECURE else "invitation"
# Spares a browser the one-time password (SR-37).
REMEMBERED_COOKIE_NAME = "__Host-remembered" if SECURE else "remembered"

# --- throttles: wrong passwords, and what could flood -------------------------------------------

# Wrong passwords in a row: so many are free, then the delay doubles until the longest; after the last only a new
# password by mail helps (SR-5).
PASSWORD_FAILURES_FREE = env.int("PASSWORD_FAILURES_FREE", default=5, validate=validate.Range(min=1))
PASSWORD_FIRST_DELAY = env.timedelta("PASSWORD_FIRST_DELAY", default=timedelta(seconds=5), validate=POSITIVE)
PASSWORD_LONGEST_DELAY = env.timedelta("PASSWORD_LONGEST_DELAY", default=timedelta(minutes=15), validate=POSITIVE)
PASSWORD_FAILURES_IN_A_ROW = env.int("PASSWORD_FAILURES_IN_A_ROW", default=100, validate=validate.Range(min=2))
# Wrong passwords from one client address in a while (SR-6).
IP_LOGIN_FAILURES = env.int("IP_LOGIN_FAILURES", default=50, validate=validate.Range(min=1))
IP_LOGIN_FAILURE_WINDOW = env.timedelta("IP_LOGIN_FAILURE_WINDOW", default=timedelta(minutes=15), validate=POSITIVE)
# Registrations, and mails for a new password, asked for from one client address in an hour.
IP_MAILS_PER_HOUR = env.int("IP_MAILS_PER_HOUR", default=100, validate=validate.Range(min=1))
# Mails of one purpose to one mailbox in an hour that anonymous requests may ask for.
EMAIL_VERIFICATION_MAILS_PER_HOUR = env.int(
    "EMAIL_VERIFICATION_MAILS_PER_HOUR", default=10, validate=validate.Range(min=2)
)
# Networks whose machines may name the client in X-Forwarded-For, for instance 10.0.0.0/8 (SR-6).
# "unix" trusts the proxy at the other end of a Unix socket: such a connection has no address of its own.
TRUSTED_PROXY_NAMES: list[str] = env.list("TRUSTED_PROXIES", default=[])
TRUST_UNIX_SOCKET = "unix" in TRUSTED_PROXY_NAMES
TRUSTED_PROXY_NETWORKS = [name for name in TRUSTED_PROXY_NAMES if name != "unix"]

# How long what happened to an account is kept (SR-53).
SECURITY_LOG_RETENTION = env.timedelta("SECURITY_LOG_RETENTION", default=timedelta(days=400), validate=POSITIVE)

# --- one-time passwords: numbers of the security requirements ---------------------------------

OTP_TOTP_ISSUER = SITE_NAME
# How long a sign-in may take (SR-31), and a code from an e-mail works (SR-14): mail can be slow,
# yet each minute more helps a thief.
CHALLENGE_LIFETIME = env.timedelta("CHALLENGE_LIFETIME", default=timedelta(minutes=10), validate=POSITIVE)
# How long a QR code may be scanned (SR-20).
ENROLMENT_LIFETIME = env.timedelta("ENROLMENT_LIFETIME", default=timedelta(minutes=15), validate=POSITIVE)
# How long a proof by a factor lets its session change factors and policy (SR-22).
STEP_UP_LIFETIME = env.timedelta("STEP_UP_LIFETIME", default=timedelta(minutes=10), validate=POSITIVE)
# Wrong codes: for one challenge, for an account in a while, for an account in a row (SR-15).
OTP_FAILURES_PER_CHALLENGE = env.int("OTP_FAILURES_PER_CHALLENGE", default=5, validate=AT_LEAST_ONE)
OTP_FAILURES_PER_WINDOW = env.int("OTP_FAILURES_PER_WINDOW", default=10, validate=AT_LEAST_ONE)
OTP_FAILURE_WINDOW = env.timedelta("OTP_FAILURE_WINDOW", default=timedelta(minutes=15), validate=POSITIVE)
OTP_FAILURES_IN_A_ROW = env.int("OTP_FAILURES_IN_A_ROW", default=100, validate=AT_LEAST_ONE)
# Mails with codes: pause between two, number for one challenge, number an hour for an account (SR-17).
OTP_MAIL_PAUSE = env.timedelta("OTP_MAIL_PAUSE", default=timedelta(seconds=30), validate=POSITIVE)
OTP_MAILS_PER_CHALLENGE = env.int("OTP_MAILS_PER_CHALLENGE", default=5, validate=AT_LEAST_ONE)
OTP_MAILS_PER_HOUR = env.int("OTP_MAILS_PER_HOUR", default=20, validate=AT_LEAST_ONE)
# How long an invitation can be accepted (SR-43).
INVITATION_LIFETIME = env.timedelta("INVITATION_LIFETIME", default=timedelta(days=7), validate=POSITIVE)
# Who may create organizations on the page, and how long a deletion can be undone.
ORGANIZATION_CREATION = env.str(
    "ORGANIZATION_CREATION",
    default="everybody" if DEVELOPMENT else "staff",
    validate=validate.OneOf(("everybody", "staff", "nobody")),
)
ORGANIZATION_DELETION_WAIT = env.timedelta("ORGANIZATION_DELETION_WAIT", default=timedelta(days=7), validate=POSITIVE)
# Codes that prove a mailbox: after registration, for a new password.
VERIFY_EMAIL_LIFETIME = env.timedelta("VERIFY_EMAIL_LIFETIME", default=timedelta(hours=24), validate=POSITIVE)
PASSWORD_RESET_LIFETIME = env.timedelta("PASSWORD_RESET_LIFETIME", default=timedelta(hours=1), validate=POSITIVE)

# How long the holder of an account's old address can undo its change (SR-29).
EMAIL_CHANGE_UNDO_WINDOW = env.timedelta("EMAIL_CHANGE_UNDO_WINDOW", default=timedelta(days=7), validate=POSITIVE)
# How long an account waits to be deleted, in which a sign-in or the mail undoes it (SR-63).
ACCOUNT_DELETION_WAIT = env.timedelta("ACCOUNT_DELETION_WAIT", default=timedelta(days=7), validate=POSITIVE)
# For how long a browser may be spared the one-time password; 0 offers it to nobody (SR-37).
REMEMBERED_BROWSER_LIFETIME = env.timedelta(
    "REMEMBERED_BROWSER_LIFETIME",
    default=timedelta(days=30),
    validate=validate.Range(min=timedelta(0), max=timedelta(days=30)),
)
# An assisted reset waits so long after the member confirmed it; its code then works for so long (SR-28).
ASSISTED_RESET_WAIT = env.timedelta("ASSISTED_RESET_WAIT", default=timedelta(hours=24), validate=POSITIVE)
ASSISTED_RESET_LIFETIME = env.timedelta("ASSISTED_RESET_LIFETIME", default=timedelta(days=3), validate=POSITIVE)

# --- e-mail ---------------------------------------------------------------------------------

REAL_PROVIDER = re.compile(r"anymail\.backends\.(?!console|test)\w+\.EmailBackend")
SMTP = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_BACKEND = required("EMAIL_BACKEND", "datica_account.development.MailFiles")
DEFAULT_FROM_EMAIL = required("DEFAULT_FROM_EMAIL", f"{SITE_NAME} <no-reply@localhost>")
# The inbox page shows every mail to everybody: only where mail goes nowhere else.
DEVELOPMENT_INBOX = DEVELOPMENT and EMAIL_BACKEND == "datica_account.development.MailFiles"
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=20, validate=AT_LEAST_ONE)
EMAIL_URL = env.str("EMAIL_URL", default="")
# The second way out for mail, for when the first one fails. The backend is Django's for SMTP if only the URL is given.
EMAIL_FALLBACK_URL = env.str("EMAIL_FALLBACK_URL", default="")
EMAIL_FALLBACK_BACKEND = env.str("EMAIL_FALLBACK_BACKEND", default="") or (SMTP if EMAIL_FALLBACK_URL else "")
# How many seconds the first mail server may be silent before the text of a mail, where there is a second one.
EMAIL_FALLBACK_AFTER = env.int("EMAIL_FALLBACK_AFTER", default=5, validate=AT_LEAST_ONE)
# Settings of the providers as JSON, for instance {"MAILGUN_API_KEY": "…"}.
ANYMAIL = env.json("ANYMAIL", default={})
# Who may report at /hooks/mail/<provider>/ what became of our mails: no one whose reports could be forged (SR-61).
EMAIL_BACKENDS = (EMAIL_BACKEND or "", EMAIL_FALLBACK_BACKEND or "")
REPORTING = {provider for backend in EMAIL_BACKENDS for provider in mail_providers.default(backend, ANYMAIL)}
MAIL_REPORT_PROVIDERS: list[str] = env.list("MAIL_REPORT_PROVIDERS", default=sorted(REPORTING))
# Where mails that plain SMTP cannot deliver return to, such as bounces@portal.example.com; blank: to the sender.
BOUNCE_ADDRESS = env.str("BOUNCE_ADDRESS", default="")

# A worker that took a mail and has not come back by then is taken for dead.
OUTBOX_SEND_TIMEOUT = env.timedelta("OUTBOX_SEND_TIMEOUT", default=timedelta(minutes=3), validate=POSITIVE)
# The sweep leaves alone what the queue is probably about to deliver.
OUTBOX_REQUEUE_AFTER = env.timedelta("OUTBOX_REQUEUE_AFTER", default=timedelta(minutes=1), validate=POSITIVE)
# What became of a mail is kept for so long. One that was not sent yet is kept in any case.
MAIL_KEPT_FOR = env.timedelta("MAIL_KEPT_FOR", default=timedelta(days=30), validate=POSITIVE)

# --- queue ----------------------------------------------------------------------------------

CELERY_BROKER_URL = required("CELERY_BROKER_URL", "filesystem://localhost")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A web request must learn quickly that the broker is away: it then sends the mail itself.
CELERY_BROKER_CONNECTION_TIMEOUT = 2
# No second record in Redis of what workers hold: it costs a sixth of their CPU, and the sweep comes long before it.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "ack_emulation": False,
}
if CELERY_BROKER_URL.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT = "datica_account.broker:Transport"  # kombu's own loses messages
    CELERY_BROKER_TRANSPORT_OPTIONS = {"folder": str(DATA_DIR / "queue"), "polling_interval": 0.2}
CELERY_TASK_IGNORE_RESULT = True  # no result store: nothing to leak (SR-19)
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat")
CELERY_BEAT_SCHEDULE = {
    "sweep-outbox": {"task": "accounts.sweep_outbox", "schedule": 30.0},
    "tell-of-unfinished": {"task": "mfa.report_unfinished", "schedule": 60.0},
    "tell-resets-ready": {"task": "mfa.tell_resets_ready", "schedule": 60.0},
    "forget-expired": {"task": "accounts.forget_expired", "schedule": 600.0},
    "fan-out-reminders": {"task": "organizations.fan_out_reminders", "schedule": 20.0, "options": {"queue": "bulk"}},
    "remove-members": {"task": "organizations.remove_members", "schedule": 20.0, "options": {"queue": "bulk"}},
    "exempt-members": {"task": "organizations.exempt_members", "schedule": 20.0, "options": {"queue": "bulk"}},
    "begin-due-reminders": {"task": "organizations.begin_due_reminders", "schedule": 600.0},
    "delete-organizations": {"task": "organizations.delete_due", "schedule": 300.0, "options": {"queue": "bulk"}},
    "end-rehearsals": {"task": "organizations.end_rehearsals", "schedule": 60.0},
    "note-compliance": {"task": "organizations.note_compliance", "schedule": 3600.0, "options": {"queue": "bulk"}},
    "delete-due-accounts": {
        "task": "accounts.delete_due_accounts",
        "schedule": 600.0,
        "options": {"queue": "bulk"},
    },
    "build-exports": {"task": "accounts.build_exports", "schedule": 30.0, "options": {"queue": "bulk"}},
    "forget-mails": {"task": "accounts.forget_mails", "schedule": 600.0, "options": {"queue": "bulk"}},
    "forget-events": {"task": "organizations.forget_old_events", "schedule": 3600.0, "options": {"queue": "bulk"}},
    "forget-expired-challenges": {"task": "mfa.forget_expired", "schedule": 600.0},
}

# --- web ------------------------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
# Each by its own name. A language is listed when its catalog below `locale/` is complete.
LANGUAGES = [("de", "Deutsch"), ("en", "English"), ("es", "Español"), ("fr", "Français")]
LANGUAGE_COOKIE_NAME = "__Host-language" if SECURE else "language"
# Set by static/js/portal.js.
TIME_ZONE_COOKIE_NAME = "__Host-time-zone" if SECURE else "time-zone"
LOCALE_PATHS = [BASE_DIR / "locale"]

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static" if DEVELOPMENT else BASE_DIR / "staticfiles"
# Browsers keep a file whose name has a hash of its content. Without it, files are served where they lie.
HASHED_STATIC_FILES = env.bool("HASHED_STATIC_FILES", default=not DEVELOPMENT)
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if HASHED_STATIC_FILES
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not HASHED_STATIC_FILES

# What `AUTH_HOST_VERSION` and `PAAS_HOST_VERSION` tell the command-line client to put before each path.
API_PREFIXES: list[str] = env.list("API_PREFIXES", default=[])
# A larger body is refused before anything reads it (SR-49); a list of people to invite may be longer.
MAX_BODY_SIZE = 64 * 1024
MAX_MAIL_REPORT_SIZE = 1_000_000  # a batch of a provider's events, or a returned mail
MAX_INVITATIONS_BODY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100

SECURE_SSL_REDIRECT = False  # the proxy's task: a redirect of ours would break the CLI's POSTs
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("TRUST_PROXY", default=False) else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],  # a page fetches itself anew when its passkey ceremony is too old
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        **({"frame-src": [SELF]} if DEVELOPMENT else {}),  # the development inbox shows a mail in a frame
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    name: [] for name in ("camera", "geolocation", "microphone", "payment", "usb", "display-capture")
}
CSRF_FAILURE_VIEW = "datica_account.views.csrf_failure"
SILENCED_SYSTEM_CHECKS = ["security.W008"]  # see SECURE_SSL_REDIRECT

# Where to report a security hole, such as mailto:security@example.com: told at /.well-known/security.txt.
SECURITY_CONTACT = env.str("SECURITY_CONTACT", default="")
# Where users reach the administrators, an email address or an https:// page; blank: pages do not say it.
SUPPORT_CONTACT = env.str("SUPPORT_CONTACT", default="")
# Opens /metrics as `Authorization: Bearer …`; blank: there is no such page (SR-55).
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# Where the web processes and workers of a machine count together. They alone: datica_account/metrics_folder.py tells
# the library, which would read the variable in every command.
PROMETHEUS_MULTIPROC_DIR = env.str("PROMETHEUS_MULTIPROC_DIR", default=str(DATA_DIR / "metrics"))
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
PROMETHEUS_LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds of a request

# --- logs: events, one line each, no codes ----------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
# One line for each request, when it has ended.
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "events": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide_secrets,
                structlog.dev.ConsoleRenderer(colors=False) if DEVELOPMENT else structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": [
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso"),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "events"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {"django.server": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False}},
}

# --- errors reach a person, and traces ---------------------------------------------------------

# Not Django's setting of this name: its mails quote the request.
ERROR_MAILS_TO: list[str] = env.list("ADMINS", default=[])
SENTRY_DSN = env.str("SENTRY_DSN", default="")
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")
REPORT_HANDLERS: dict[str, dict[str, Any]] = {
    "sentry": {"class": "datica_account.sentry.SentryHandler", "level": "ERROR", "dsn": SENTRY_DSN},
    "mail": {
        "class": "datica_account.error_mail.MailHandler", "level": "ERROR", "to": ERROR_MAILS_TO, "folder": DATA_DIR,
    },
}  # fmt: skip

# --- what follows from the above --------------------------------------------------------------

problems = Problems(env)

try:
    DATABASES: dict[str, dict[str, Any]] = {"default": dict(dj_database_url.parse(DATABASE_URL))}
except (ValueError, dj_database_url.UnknownSchemeError):
    problems.add("DATABASE_URL", "is not a database address.")
smtp, fallback_smtp = mail_server(EMAIL_URL), mail_server(EMAIL_FALLBACK_URL)
if EMAIL_URL and not smtp:
    problems.add("EMAIL_URL", "is not the address of a mail server.")
if EMAIL_FALLBACK_URL and not fallback_smtp:
    problems.add("EMAIL_FALLBACK_URL", "is not the address of a mail server.")
if EMAIL_FALLBACK_BACKEND == SMTP and not EMAIL_FALLBACK_URL:
    problems.add("EMAIL_FALLBACK_URL", "is not set, but EMAIL_FALLBACK_BACKEND needs a mail server.")
TRUSTED_PROXIES = []
try:
    TRUSTED_PROXIES = [ip_network(network) for network in TRUSTED_PROXY_NETWORKS or []]
except ValueError:
    problems.add("TRUSTED_PROXIES", "is not a list of networks.")
if any(network.prefixlen == 0 for network in TRUSTED_PROXIES or []):
    problems.add("TRUSTED_PROXIES", "trusts every machine.")
if any(not prefix.startswith("/") or prefix.endswith("/") for prefix in API_PREFIXES or []):
    problems.add("API_PREFIXES", "is not a list of prefixes.")
if not SITE_URL.startswith(("http://", "https://")):
    problems.add("SITE_URL", "is not an address of the web.")
if "://" not in CELERY_BROKER_URL:
    problems.add("CELERY_BROKER_URL", "is not the address of a broker.")
if SECURITY_CONTACT and not re.fullmatch(r"(mailto:|https://|tel:)\S+", SECURITY_CONTACT):
    problems.add(
        "SECURITY_CONTACT", "is not an address such as mailto:security@example.com or https://example.com/security."
    )
if SUPPORT_CONTACT and not re.fullmatch(r"https://[\w.-]+(:\d+)?(/\S*)?|[\w.+-]+@[\w-]+(\.[\w-]+)+", SUPPORT_CONTACT):
    problems.add("SUPPORT_CONTACT", "is neither an https:// address of a page nor an email address.")
if any(not re.fullmatch(r"[^@\s]+@[^@\s]+", address) for address in ERROR_MAILS_TO or []):
    problems.add("ADMINS", "is not a list of email addresses.")
if SENTRY_DSN and not re.fullmatch(r"https?://[^/@]+@[^/@]+/\S+", SENTRY_DSN):
    problems.add("SENTRY_DSN", "is not the address of a project.")
if OTEL_EXPORTER_OTLP_ENDPOINT and not host_of(OTEL_EXPORTER_OTLP_ENDPOINT):
    problems.add("OTEL_EXPORTER_OTLP_ENDPOINT", "is not the address of a collector.")
for name, value in {"SENTRY_DSN": SENTRY_DSN, "OTEL_EXPORTER_OTLP_ENDPOINT": OTEL_EXPORTER_OTLP_ENDPOINT}.items():
    if value and not are_installed(name):
        problems.add(name, "needs packages that are not installed: pip install -r requirements-extras.txt.")
if LOG_LEVEL not in logging.getLevelNamesMapping():
    problems.add("LOG_LEVEL", "is not a level.")
for provider in MAIL_REPORT_PROVIDERS or []:
    if problem := mail_providers.problem_of(provider, ANYMAIL):
        problems.add("MAIL_REPORT_PROVIDERS", problem)
if BOUNCE_ADDRESS and not re.fullmatch(r"[\w.-]{1,20}@[\w-]+(\.[\w-]+)*", BOUNCE_ADDRESS, re.ASCII):
    problems.add("BOUNCE_ADDRESS", "is not an address with at most 20 characters before the @.")
if not DEVELOPMENT:
    if DEBUG:
        problems.add("DEBUG", "shows code and settings to everyone. It needs DEVELOPMENT=1.")
    if EMAIL_BACKEND != SMTP and not REAL_PROVIDER.fullmatch(EMAIL_BACKEND):
        problems.add("EMAIL_BACKEND", "sends no mail.")
    if EMAIL_FALLBACK_BACKEND not in {"", SMTP} and not REAL_PROVIDER.fullmatch(EMAIL_FALLBACK_BACKEND):
        problems.add("EMAIL_FALLBACK_BACKEND", "sends no mail.")
    if EMAIL_BACKEND == SMTP and not EMAIL_URL:
        problems.add("EMAIL_URL", "is not set, but EMAIL_BACKEND needs a mail server.")
    if len(SECRET_KEY) < 50:
        problems.add("SECRET_KEY", "is too short.")
    if not any(ENCRYPTION_KEYS or []):
        problems.add("ENCRYPTION_KEYS", "is not set.")
    elif any(len(key) < 32 for key in ENCRYPTION_KEYS):
        problems.add("ENCRYPTION_KEYS", "has a key that is too short.")
    if "*" in (ALLOWED_HOSTS or []):
        problems.add("ALLOWED_HOSTS", "lets every host in.")
    if len(set(SECRET_KEY)) < 10:
        problems.add("SECRET_KEY", "is not random.")
    if not any(ALLOWED_HOSTS or []):
        problems.add("ALLOWED_HOSTS", "is not set.")

problems.refuse()  # ends the process with one message that names all of them

for name, wanted in {"sentry": SENTRY_DSN, "mail": ERROR_MAILS_TO}.items():
    if wanted:
        LOGGING["handlers"][name] = REPORT_HANDLERS[name]
        LOGGING["root"]["handlers"].append(name)

SESSION_COOKIE_AGE = int(SESSION_LIFETIME.total_seconds())
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Row locks do not exist in SQLite: an immediate transaction makes the whole of it the lock (SR-12).
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    # Each process opens as many connections as it uses at once, at most so many. While the database is away a request
    # waits for DATABASE_PATIENCE. The pool's own pauses between two attempts would grow to minutes.
    pool = {
        "min_size": 1,
        "max_size": DATABASE_POOL_SIZE,
        "timeout": DATABASE_PATIENCE,
        "reconnect_timeout": DATABASE_PATIENCE,
    }
    options = {"pool": pool if DATABASE_POOL else False, "connect_timeout": DATABASE_PATIENCE}
    DATABASES["default"] |= {"ENGINE": "datica_account.postgresql", "OPTIONS": options}
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = not DATABASE_SERVER_CURSORS
    if DATABASE_PREPARED:
        # PostgreSQL plans what a connection has sent five times once and for all: half of its work for a sign-in.
        DATABASES["default"]["OPTIONS"] |= {"server_side_binding": True, "prepare_threshold": 5}
if EMAIL_URL:
    EMAIL_HOST, EMAIL_PORT = smtp["host"], smtp["port"]
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = smtp["username"], smtp["password"]
    EMAIL_USE_TLS, EMAIL_USE_SSL = smtp["use_tls"], smtp["use_ssl"]
EMAIL_FALLBACK_SMTP = fallback_smtp

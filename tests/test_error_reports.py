"""An error reaches a person who runs the portal, and nothing that was typed goes with it (SR-19)."""

import gzip
import json
import logging
import os
import smtplib
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sentry_sdk
import structlog
from django.core import mail
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from accounts import signin
from datica_account import error_mail
from datica_account.error_mail import MailHandler
from datica_account.sentry import SentryHandler
from tests import servers
from tests.check import PRODUCTION
from tests.signing_in import give_credentials

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a quiet harbour at dawn"
CODE = "492013"
ADDRESS = "203.0.113.77"
AGENT = "Mozilla/5.0 of-dana"
SECRETS = ["dana@example.com", PASSWORD, "harbour", CODE, ADDRESS, AGENT, "a-token-in-the-url", "sessionid-of-dana"]


@contextmanager
def listening():
    """Take what is posted, as Sentry or a collector does."""
    posted: list[tuple[str, bytes]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def reporting(handler: logging.Handler):
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger().removeHandler(handler)


@pytest.fixture
def fails(monkeypatch):
    """Let the sign-in fail with an exception that quotes what was typed, and that another one caused."""

    def check_credentials(identifier, password, _origin, **_more):
        code = CODE
        try:
            return {}[identifier]
        except KeyError as error:
            raise ValueError(f"{identifier} {password} {code}") from error

    monkeypatch.setattr(signin, "check_credentials", check_credentials)


def sign_in_fails(client) -> None:
    client.raise_request_exception = False
    client.cookies["session"] = "sessionid-of-dana"
    answer = client.post(
        "/account/login?next=a-token-in-the-url",
        {"identifier": "dana@example.com", "password": PASSWORD, "otp": CODE},
        REMOTE_ADDR=ADDRESS,
        headers={"User-Agent": AGENT, "Authorization": "Bearer a-token-in-the-url"},
    )
    assert answer.status_code == 500


# --- Sentry -------------------------------------------------------------------------------------------


@pytest.fixture
def sentry():
    with listening() as (port, posted):
        with reporting(SentryHandler(dsn=f"http://key@127.0.0.1:{port}/1")):

            def events() -> list[tuple[str, dict]]:
                sentry_sdk.flush(10)
                return [(body.decode(), json.loads(body.splitlines()[2])) for _path, body in posted]

            yield events
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


@pytest.mark.django_db
def test_sentry_learns_what_failed_and_where_and_nothing_that_was_typed(client, fails, sentry):
    sign_in_fails(client)

    [(envelope, event)] = sentry()

    assert [value["type"] for value in event["exception"]["values"]] == ["KeyError", "ValueError"]
    assert {value["value"] for value in event["exception"]["values"]} == {""}
    assert event["transaction"] == "accounts:login"
    assert event["tags"]["request_id"]
    assert "signing_in.py" in envelope
    assert "vars" not in envelope
    assert not event.keys() & {"request", "breadcrumbs", "contexts", "extra", "user"}
    assert [secret for secret in SECRETS if secret in envelope] == []


@pytest.mark.django_db
def test_what_the_package_collects_is_not_sent_either(client, fails, sentry):
    """Should an integration be on one day."""
    scope = sentry_sdk.get_isolation_scope()
    sentry_sdk.add_breadcrumb(message=f"{PASSWORD} {CODE}")
    scope.set_extra("typed", PASSWORD)
    scope.set_context("typed", {"code": CODE})
    try:
        sign_in_fails(client)
        [(envelope, _event)] = sentry()
    finally:
        scope.clear()

    assert [secret for secret in SECRETS if secret in envelope] == []


@pytest.mark.django_db
def test_sentry_learns_the_internal_id_of_the_user_and_no_more(client, dana, sentry, monkeypatch):
    from accounts.web.views import account_settings

    give_credentials(client, "dana")
    monkeypatch.setattr(account_settings, "render_form", lambda *_a, **_k: 1 / 0)
    monkeypatch.setattr(account_settings, "render", lambda *_a, **_k: 1 / 0)
    client.raise_request_exception = False
    client.get("/account/profile")

    [(_envelope, event)] = sentry()

    assert event["user"] == {"id": str(dana.pk)}
    assert event["transaction"] == "accounts:profile_edit"


def test_an_error_in_the_log_is_reported_by_its_name(sentry):
    structlog.get_logger("accounts.made_up").error("made_up.failed", address="dana@example.com", code=CODE)

    [(envelope, event)] = sentry()

    assert event["message"] == "made_up.failed"
    assert "test_error_reports.py" in event["tags"]["place"]
    assert [secret for secret in SECRETS if secret in envelope] == []


# --- mail ---------------------------------------------------------------------------------------------


def wait_for_mails() -> list[mail.EmailMessage]:
    for thread in threading.enumerate():
        if thread.name == "error-mail":
            thread.join(10)
    return mail.outbox


@pytest.mark.django_db
def test_an_error_is_mailed_once_and_nothing_that_was_typed(client, fails, tmp_path):
    with reporting(MailHandler(to=["ops@example.com"], folder=tmp_path)):
        for _ in range(3):
            sign_in_fails(client)

    [sent] = wait_for_mails()
    whole = sent.message().as_string()

    assert sent.to == ["ops@example.com"]
    assert sent.subject.startswith("[Datica] ValueError at tests/test_error_reports.py:")
    assert "Route:    accounts:login" in sent.body
    assert "KeyError\n\nand then\n\n" in sent.body
    assert "accounts/web/views/signing_in.py:" in sent.body
    assert [secret for secret in SECRETS if secret in whole] == []
    assert str(ROOT) not in whole


def test_the_next_mail_says_how_often_it_happened_meanwhile(tmp_path):
    file = tmp_path / "state"

    def take(fingerprint: str, now: float):
        return error_mail.take(file, fingerprint, now=now)

    assert [take("one", 10_000), take("one", 10_001), take("one", 10_599), take("one", 10_601)] == [0, None, None, 2]
    assert take("two", 10_602) == 0


def test_there_are_at_most_twenty_mails_in_an_hour_over_all_processes(tmp_path):
    file = tmp_path / "state"
    code = (
        "import sys; from pathlib import Path; from datica_account.error_mail import take;"
        "print(sum(take(Path(sys.argv[1]), f'{sys.argv[2]} {n}', now=10_000.0 + n) is not None for n in range(15)))"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "datica_account.settings"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(file), str(number)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
        )
        for number in range(3)
    ]  # fmt: skip

    assert sum(int(process.communicate()[0]) for process in processes) == 20
    assert error_mail.take(file, "another", now=13_700) == 0


def test_a_broken_state_file_stops_no_mail(tmp_path):
    (tmp_path / "state").write_text("{not json")

    assert error_mail.take(tmp_path / "state", "one", now=10_000) == 0


def test_a_mail_that_cannot_be_sent_is_logged_and_raises_nothing(tmp_path, monkeypatch):
    """Nor does it make another mail: that would go in a circle."""

    def refuse(_self):
        raise smtplib.SMTPServerDisconnected

    monkeypatch.setattr(mail.EmailMessage, "send", refuse)
    with reporting(MailHandler(to=["ops@example.com"], folder=tmp_path)) as handler:
        sent = []
        monkeypatch.setattr(handler, "send", lambda report, send=handler.send: (sent.append(report), send(report)))
        logging.getLogger("accounts.made_up").error("failed")
        wait_for_mails()

    assert len(sent) == 1


def test_a_folder_that_cannot_be_written_raises_nothing():
    with reporting(MailHandler(to=["ops@example.com"], folder=Path("/dev/null/no-such-folder"))):
        logging.getLogger("accounts.made_up").error("failed")

    assert wait_for_mails() == []


def test_refused_hosts_are_not_reported(client, tmp_path):
    with reporting(MailHandler(to=["ops@example.com"], folder=tmp_path)):
        client.get("/help/mfa", headers={"Host": "evil.example.com"})

    assert wait_for_mails() == []


# --- the log itself -----------------------------------------------------------------------------------


def test_the_log_hides_addresses_and_codes_in_what_an_exception_says(settings):
    """An exception of a library comes to the log another way than one of ours."""
    formatter = structlog.stdlib.ProcessorFormatter(
        **{key: value for key, value in settings.LOGGING["formatters"]["events"].items() if key != "()"}
    )
    try:
        int(f"dana@example.com {CODE} at /account/accept-invite/a-token-in-the-url")
    except ValueError:
        record = logging.LogRecord("django.request", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())

    line = formatter.format(record)

    assert "ValueError" in line
    assert [secret for secret in SECRETS if secret in line and secret != CODE] == []
    assert f"com {CODE}" not in line


# --- settings -----------------------------------------------------------------------------------------


def start(code: str, **more: str) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, "DJANGO_SETTINGS_MODULE": "datica_account.settings"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(
        command, env={**environment, **more}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("setting", "value", "package"),
    [
        ("SENTRY_DSN", "https://key@sentry.example.com/1", "sentry_sdk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "opentelemetry"),
    ],
)
def test_a_start_without_the_package_is_refused_in_words(setting, value, package):
    """SR-51."""
    missing = f"import sys; sys.modules[{package!r}] = None\n"

    with_package = start("import datica_account.settings", **{setting: value})
    without = start(f"{missing}import datica_account.settings", **{setting: value})

    assert with_package.returncode == 0, with_package.stderr
    assert without.returncode == 3
    assert f"{setting} needs packages that are not installed: pip install -r requirements-extras.txt." in without.stderr


def test_the_settings_switch_the_reports_on(tmp_path):
    code = "import django, logging; django.setup(); print([type(h).__name__ for h in logging.getLogger().handlers])"
    given = {"SENTRY_DSN": "https://key@sentry.example.com/1", "ADMINS": "a@example.com,b@example.com"}

    done = start(code, DATA_DIR=str(tmp_path), **given)

    assert done.stdout.strip() == "['StreamHandler', 'SentryHandler', 'MailHandler']", done.stderr
    assert start(code).stdout.strip() == "['StreamHandler']"


# --- traces -------------------------------------------------------------------------------------------


TRACED = f"""
from datica_account.wsgi import application
from django.conf import settings
from django.test import Client
from opentelemetry import trace
client = Client(raise_request_exception=False, headers={{"Host": "portal.example.com", "User-Agent": {AGENT!r}}})
client.get("/help/mfa?next=a-token-in-the-url", REMOTE_ADDR={ADDRESS!r})
client.get("/no/such/a-token-in-the-url", REMOTE_ADDR={ADDRESS!r})
client.get("/account/accept-invite/a-token-in-the-url", REMOTE_ADDR={ADDRESS!r})
client.post("/account/login?next=a-token-in-the-url", {{"identifier": "dana@example.com", "password": {PASSWORD!r}}},
  REMOTE_ADDR={ADDRESS!r})
trace.get_tracer_provider().force_flush()
"""


def test_traces_hold_routes_and_statements_and_nothing_that_was_typed():
    """The database has no tables, so that exceptions are traced, too."""
    with servers.or_skip(servers.postgresql) as database, listening() as (port, posted):
        endpoint = f"http://127.0.0.1:{port}"
        done = start(TRACED, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, DATABASE_URL=database, LOG_LEVEL="CRITICAL")

    assert done.returncode == 0, done.stderr
    assert {path for path, _body in posted} == {"/v1/traces"}
    requests = [ExportTraceServiceRequest.FromString(body) for _path, body in posted]
    spans = [
        span for one in requests for part in one.resource_spans for scope in part.scope_spans for span in scope.spans
    ]
    whole = "".join(str(request) for request in requests)
    routes = {value.value.string_value for span in spans for value in span.attributes if value.key == "http.route"}

    assert {"help/mfa", "account/login"} <= routes
    assert "SELECT" in {span.name for span in spans}
    assert "db.statement" in whole
    assert "exception.type" in whole
    assert [secret for secret in SECRETS if secret in whole] == []

"""A mail goes out through Anymail's real backend over HTTP, and its provider's report finds it again (SR-61)."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.mail import EmailMessage

from accounts import mail_breaker, mail_connections, outbox
from accounts.models import Delivery, Mail, MailRoute
from accounts.tests.providers import DANA, PROVIDERS
from tests.servers import SmtpSink

pytestmark = pytest.mark.django_db

# What each answers to a mail that it accepts: headers and body.
ANSWERS = {
    "postmark": (
        {},
        {"To": DANA, "SubmittedAt": "2026-01-01T12:00:00Z", "MessageID": "b7bc2f4a", "ErrorCode": 0, "Message": "OK"},
    ),
    "postal": (
        {},
        {"status": "success", "data": {"message_id": "x@y", "messages": {DANA: {"id": 4711, "token": "a"}}}},
    ),
    "mailersend": ({"X-Message-Id": "62fb66bef54a112e920b5493", "Content-Type": "text/html"}, None),
}
IDS = {"postmark": "b7bc2f4a", "postal": "4711", "mailersend": "62fb66bef54a112e920b5493"}
KEYS = {
    "postmark": {"POSTMARK_SERVER_TOKEN": "token"},
    "postal": {"POSTAL_API_KEY": "token"},
    "mailersend": {"MAILERSEND_API_TOKEN": "token"},
    "mailjet": {"MAILJET_API_KEY": "key", "MAILJET_SECRET_KEY": "token"},
}


@contextmanager
def standing_in(settings, name, headers, answer, *, status=200):
    """Run a stand-in for a provider's HTTP API, and send mail through it; give the requests that it got."""
    got = []

    class StandIn(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(answer).encode() if answer else b""
            self.send_response(status)
            for header, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            """Write nothing to the output of the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.EMAIL_BACKEND = f"anymail.backends.{name}.EmailBackend"
    url = {f"{name.upper()}_API_URL": f"http://127.0.0.1:{server.server_port}/"}
    settings.ANYMAIL = PROVIDERS[name].anymail | url | KEYS[name]
    settings.MAIL_REPORT_PROVIDERS = [name]
    yield got
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def a_plain_mail(monkeypatch):
    monkeypatch.setitem(outbox.COMPOSERS, "accounts.plain", lambda _mail: EmailMessage("subject", "text", to=[DANA]))


@pytest.fixture(autouse=True)
def a_fresh_process():
    mail_breaker.forget()
    yield
    mail_breaker.forget()


@pytest.fixture(params=sorted(ANSWERS))
def provider(request, settings):
    """Return a provider's name and the requests that its stand-in got."""
    with standing_in(settings, request.param, *ANSWERS[request.param]) as got:
        yield request.param, got


def test_a_mail_is_accepted_and_then_reported_on(client, dana, provider):
    name, got = provider
    mail = Mail.objects.create(task="accounts.plain", user=dana)
    over = mail_connections.KeptConnection()

    outbox.deliver(str(mail.pk), over=over)
    over.close()

    mail.refresh_from_db()
    assert (mail.state, mail.delivery, mail.message_id) == ("sent", Delivery.ACCEPTED, IDS[name])
    assert mail.provider.lower() == name
    assert PROVIDERS[name].has_metadata == (str(mail.pk) in json.dumps(got[0].get("Metadata", {})))

    told = PROVIDERS[name].report(PROVIDERS[name].events["bounced"], IDS[name], "", False)
    path = f"/hooks/mail/{name}/"
    assert client.post(path, told.body, content_type=told.content_type, headers=told.headers).status_code == 200

    mail.refresh_from_db()
    dana.refresh_from_db()
    assert mail.delivery == Delivery.BOUNCED
    assert dana.mailbox_failed_at is not None


def test_a_mail_is_not_tracked(provider):
    """Whether a user opened a mail is not asked: no pixel, and links stay as they are."""
    _name, got = provider
    mail = Mail.objects.create(task="accounts.plain")

    outbox.deliver(str(mail.pk))

    assert "track" not in json.dumps(got).lower()


# --- Providers that do not take a mail --------------------------------------------------------------

INACTIVE = (
    "You tried to send to a recipient that has been marked as inactive.\n"
    f"Found inactive addresses: {DANA}.\n"
    "Inactive recipients are ones that have generated a hard bounce or a spam complaint. "
)
SUPPRESSED = {"type": "ALL_SUPPRESSED", "warning": "All recipients suppressed.",
              "recipients": [{"email": DANA, "reason": ["hard_bounced"]}]}  # fmt: skip
# Provider, HTTP status and answer, and the reason in our words.
OF_THE_MAILBOX = {
    "no longer sends to it": ("postmark", 422, {"ErrorCode": 406, "Message": INACTIVE}, "suppressed"),
    "cannot read it": (
        "postmark",
        422,
        {"ErrorCode": 300, "Message": f"Invalid 'To' address: '{DANA}'."},
        "no_mailbox",
    ),
    "suppresses it": ("mailersend", 202, {"message": "", "warnings": [SUPPRESSED]}, "suppressed"),
}
OF_THE_PROVIDER = {
    "does not know us": ("postmark", 401, {"ErrorCode": 10, "Message": "No Account found"}),
    "does not know our sender": ("postmark", 422, {"ErrorCode": 400, "Message": "Sender signature not found"}),
    "takes no more today": ("mailersend", 429, {"message": "Too Many Attempts."}),
    "cannot read our request": ("postal", 400, {"status": "parameter-error", "data": {"message": "no"}}),
    "is broken": ("postal", 500, None),
    "is closed": ("mailersend", 503, None),
    "answers no JSON": ("postmark", 200, None),
    "says that it failed": ("mailjet", 400, {"Messages": [{"Status": "error", "Errors": [{"StatusCode": 400}]}]}),
}


def deliver(user) -> Mail:
    mail = Mail.objects.create(task="accounts.plain", user=user, queue=outbox.OTP_QUEUE)
    outbox.deliver(str(mail.pk))
    mail.refresh_from_db()
    user.refresh_from_db()
    return mail


@pytest.fixture
def second(settings):
    """A mail server as the second way out."""
    sink = SmtpSink()
    settings.EMAIL_FALLBACK_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_FALLBACK_SMTP = {"host": "127.0.0.1", "port": sink.port, "username": "", "password": ""}
    yield sink
    sink.close()


@pytest.mark.parametrize("case", OF_THE_MAILBOX)
@pytest.mark.parametrize("ignores", [False, True], ids=["", "anymail ignores it"])
def test_what_a_provider_says_of_the_mailbox_is_final(dana, settings, second, case, ignores):
    """Neither way is asked again, the account is marked, and the prompt can say why."""
    name, status, answer, reason = OF_THE_MAILBOX[case]
    with standing_in(settings, name, {}, answer, status=status) as got:
        settings.ANYMAIL = settings.ANYMAIL | {"IGNORE_RECIPIENT_STATUS": ignores}
        mail = deliver(dana)

    assert (mail.state, mail.tries, len(got)) == ("failed", 1, 1)
    assert (mail.delivery, mail.delivery_reason) == (Delivery.FAILED, reason)
    assert dana.mailbox_failure == reason
    assert second.connections == []
    assert not MailRoute.objects.exists()


@pytest.mark.parametrize("case", OF_THE_PROVIDER)
def test_what_it_says_of_itself_sends_the_code_by_the_second_way(dana, settings, second, case):
    name, status, answer = OF_THE_PROVIDER[case]
    with standing_in(settings, name, {}, answer, status=status) as got:
        mail = deliver(dana)

    assert (mail.state, mail.tries, len(got)) == ("sent", 1, 1)
    assert [str(sent["Message-ID"]) for sent in second.mails] == [f"<{mail.pk}@testserver>"]
    assert dana.mailbox_failed_at is None
    assert MailRoute.objects.get().failures == 1


@pytest.mark.parametrize("case", OF_THE_PROVIDER)
def test_without_a_second_way_the_mail_waits_for_its_next_try(dana, settings, case):
    name, status, answer = OF_THE_PROVIDER[case]
    with standing_in(settings, name, {}, answer, status=status):
        mail = deliver(dana)

    assert (mail.state, mail.tries, mail.delivery) == ("queued", 1, Delivery.UNKNOWN)
    assert dana.mailbox_failed_at is None

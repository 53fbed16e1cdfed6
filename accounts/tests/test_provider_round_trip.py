"""A mail goes out through Anymail's real backend over HTTP, and its provider's report finds it again (SR-61)."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.mail import EmailMessage

from accounts import mail_connections, outbox
from accounts.models import Delivery, Mail
from accounts.tests.providers import DANA, PROVIDERS

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
KEYS = {"postmark": "POSTMARK_SERVER_TOKEN", "postal": "POSTAL_API_KEY", "mailersend": "MAILERSEND_API_TOKEN"}


@pytest.fixture(params=sorted(ANSWERS))
def provider(request, settings, monkeypatch):
    """Run a stand-in for a provider's HTTP API; return the provider's name and the requests that it got."""
    name, got = request.param, []
    headers, answer = ANSWERS[name]

    class StandIn(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(answer).encode() if answer else b""
            self.send_response(200)
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
    settings.ANYMAIL = PROVIDERS[name].anymail | url | {KEYS[name]: "token"}
    settings.MAIL_REPORT_PROVIDERS = [name]
    monkeypatch.setitem(outbox.COMPOSERS, "accounts.plain", lambda _mail: EmailMessage("subject", "text", to=[DANA]))
    yield name, got
    server.shutdown()
    server.server_close()


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

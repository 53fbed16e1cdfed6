"""Mail in development: each mail is a file, shown on the console and on an inbox page."""

import email
import email.policy
import email.utils
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.message import EmailMessage as ParsedMail
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.web.access import public, works_while_blocked

INBOX_LENGTH = 50
SANDBOX = "allow-popups allow-popups-to-escape-sandbox"  # of the HTML part: no script, no form, no other origin's data
NAME = re.compile(r"\A[0-9TZ.-]+-[0-9a-f]{8}\Z")


def folder() -> Path:
    """Return the folder of the mails."""
    return Path(settings.DATA_DIR) / "mail"


class MailFiles(BaseEmailBackend):
    """A mail backend that writes each mail to an ``.eml`` file and prints its text."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        """Write the mails. Each file gets its final name when it is complete."""
        folder().mkdir(parents=True, exist_ok=True)
        for message in messages:
            name = f"{timezone.now():%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}"
            draft = folder() / f"{name}.part"
            draft.touch(mode=0o600)
            draft.write_bytes(message.message().as_bytes())
            draft.rename(folder() / f"{name}.eml")
            text = "\n".join(f"  | {line}" for line in str(message.body).strip().splitlines())
            sys.stdout.write(f"\nmail to {', '.join(message.to)}: {message.subject}\n{text}\n\n")
            sys.stdout.flush()
        return len(messages)


@dataclass(frozen=True)
class ReceivedMail:
    """A mail as the inbox page shows it."""

    id: str
    to: str
    sender: str
    subject: str
    date: object
    text: str
    html: str

    @property
    def first_line(self) -> str:
        """Return the line that a mail program shows beside the subject."""
        return next(iter(self.text.strip().splitlines()), "")

    @property
    def html_url(self) -> str:
        """Return the path of the HTML part."""
        return reverse("development:html", args=[self.id])


def _part(mail: ParsedMail, kind: str) -> str:
    body = mail.get_body((kind,))
    return str(body.get_content()) if body else ""


def read(name: str) -> ReceivedMail:
    """Return a mail. Raise ``Http404``."""
    file = folder() / f"{name}.eml"
    if not NAME.match(name) or not file.exists():
        raise Http404
    mail = email.message_from_bytes(file.read_bytes(), _class=ParsedMail, policy=email.policy.default)
    return ReceivedMail(
        id=name,
        to=str(mail["To"]),
        sender=str(mail["From"]),
        subject=str(mail["Subject"]),
        date=email.utils.parsedate_to_datetime(str(mail["Date"])).replace(tzinfo=UTC),  # Django writes "-0000"
        text=_part(mail, "plain"),
        html=_part(mail, "html"),
    )


@require_safe
@public
@works_while_blocked
def inbox(request: HttpRequest) -> HttpResponse:
    """Show the newest mails."""
    names = sorted((file.stem for file in folder().glob("*.eml")), reverse=True)[:INBOX_LENGTH]
    return render(request, "development/inbox.html", {"mails": [read(name) for name in names]})


@require_safe
@public
@works_while_blocked
def show(request: HttpRequest, name: str) -> HttpResponse:
    """Show a mail."""
    return render(request, "development/mail.html", {"mail": read(name), "sandbox": SANDBOX})


@require_safe
@public
@works_while_blocked
def html(_request: HttpRequest, name: str) -> HttpResponse:
    """Return the HTML part alone, for the frame of the page. Its links open a new tab: the frame is a sandbox."""
    response = HttpResponse(read(name).html.replace("<head>", '<head><base target="_blank">', 1))
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response._csp_config = {  # type: ignore[attr-defined]
        "default-src": ["'none'"],
        "style-src": ["'unsafe-inline'"],  # mails have inline styles, because mail programs ignore style sheets
        "frame-ancestors": ["'self'"],
        "sandbox": SANDBOX.split(),
    }
    return response


app_name = "development"
urlpatterns = [
    path("inbox", inbox, name="inbox"),
    path("inbox/<str:name>", show, name="mail"),
    path("inbox/<str:name>/html", html, name="html"),
]

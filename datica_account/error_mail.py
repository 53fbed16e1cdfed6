"""Errors by mail to ``ADMINS``: one mail for each distinct error in ten minutes, and twenty in an hour.

The mail does not go through the outbox: an error of the database or the outbox must not stop it, and it is no mail to a
user. What was sent when is in a file of ``DATA_DIR``, which all processes of a machine share.
"""

import fcntl
import json
import time
from hashlib import sha256
from pathlib import Path
from threading import Thread

import structlog
from django.conf import settings
from django.core.mail import EmailMessage

from datica_account.error_reports import Report, ReportHandler, traceback_of

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 600
HOUR = 3600
MAX_PER_HOUR = 20


class MailHandler(ReportHandler):
    """Mails reports. The request that failed does not wait for the mail server."""

    def __init__(self, *, to: list[str], folder: Path) -> None:
        """Mail to these addresses; keep in ``folder`` when what was sent."""
        super().__init__()
        self._to = to
        self._file = folder / "error-mails.json"

    def send(self, report: Report) -> None:
        """Send the mail of a report in a thread of its own, unless there were too many."""
        left_out = take(self._file, fingerprint_of(report), now=time.time())
        if left_out is not None:
            Thread(target=self.deliver, args=[report, left_out], name="error-mail").start()

    def deliver(self, report: Report, left_out: int) -> None:
        """Send the mail of a report. A failure is logged, never raised."""
        subject = f"[{settings.SITE_NAME}] {report.title} at {report.place}"
        try:
            EmailMessage(subject, text_of(report, left_out), settings.SERVER_EMAIL, self._to).send()
        except Exception:
            log.exception("error_mail.not_sent")


def fingerprint_of(report: Report) -> str:
    """Return what is the same for the same error."""
    return sha256(f"{report.title} {report.place}".encode()).hexdigest()[:16]


def text_of(report: Report, left_out: int) -> str:
    """Return the text of a mail; ``left_out``: how often the same happened since the last mail about it."""
    lines = [
        f"{report.title} at {report.place}",
        "",
        f"Portal:   {settings.SITE_URL}",
        f"Route:    {report.view or 'none'}",
        f"Request:  {report.request_id or 'none'}",
        f"User id:  {report.user_id or 'none'}",
    ]
    if left_out:
        lines.append(f"The same happened {left_out} times more since the last mail about it.")
    lines += ["", "The log has the rest; search for the request's id.", ""]
    if report.exception:
        lines.append(traceback_of(report.exception))
    return "\n".join(lines)


def take(file: Path, fingerprint: str, *, now: float) -> int | None:
    """Return how many mails about this error were left out before, or None if this one must be, too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as state:
        fcntl.flock(state, fcntl.LOCK_EX)
        state.seek(0)
        sent, left_out = _read(state.read())
        sent = [(at, error) for at, error in sent if abs(now - at) < HOUR]
        is_new = all(error != fingerprint or abs(now - at) >= PAUSE_SECONDS for at, error in sent)
        result = None
        if is_new and len(sent) < MAX_PER_HOUR:
            sent.append((now, fingerprint))
            result = left_out.pop(fingerprint, 0)
        else:
            left_out[fingerprint] = left_out.get(fingerprint, 0) + 1
        state.truncate(0)
        state.write(json.dumps([sent, left_out]))
    return result


def _read(text: str) -> tuple[list[tuple[float, str]], dict[str, int]]:
    """Return what was sent when, and how many were left out. A file that cannot be read is as good as none."""
    try:
        sent, left_out = json.loads(text)
        return [(float(at), str(error)) for at, error in sent], dict(left_out)
    except (TypeError, ValueError):
        return [], {}

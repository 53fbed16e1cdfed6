"""Reports of errors, for the person who runs the portal: to Sentry, or by mail to ``ADMINS``.

A report leaves the machine, so it is made of what cannot hold a secret: the types of exceptions, places in the code,
the name of the route, the request's id, the user's id (SR-19). What an exception or a log line says can quote anything
that was typed. It stays in the log, where the request's id finds it.
"""

import logging
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parent.parent
MAX_CHAIN = 5
# Its own and Sentry's errors would go in a circle. Refused hosts are no errors of ours. What django-structlog logs of
# an exception, Django logs once more, with its request.
NOT_REPORTED = (__name__, "datica_account.error_mail", "sentry_sdk", "django.security", "django_structlog")
REPORTED = "_portal_reported"


@dataclass(frozen=True)
class Report:
    """An error, without a word of what was typed."""

    title: str
    place: str
    view: str
    request_id: str
    user_id: str
    exception: BaseException | None


class ReportHandler(logging.Handler, ABC):
    """Makes a report of each error in the log. An exception that is logged twice is reported once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Report an error, unless it was reported. A failure is logged, never raised."""
        if record.name.startswith(NOT_REPORTED):
            return
        try:
            report = report_of(record)
            if _is_new(report.exception, self):
                self.send(report)
        except Exception:
            log.exception("error_report.failed")

    @abstractmethod
    def send(self, report: Report) -> None:
        """Send a report."""


def report_of(record: logging.LogRecord) -> Report:
    """Return the report of an error in the log."""
    event = record.msg if isinstance(record.msg, dict) else {}  # of structlog, whose events are constants of the code
    exception = record.exc_info[1] if record.exc_info else sys.exc_info()[1]
    bound = structlog.contextvars.get_contextvars()
    match = getattr(getattr(record, "request", None), "resolver_match", None)
    place = place_of(exception) if exception else f"{short(record.pathname)}:{record.lineno} in {record.funcName}"
    return Report(
        title=type(exception).__name__ if exception else str(event.get("event", record.name)),
        place=place,
        view=match.view_name if match else "",
        request_id=str(bound.get("request_id") or ""),
        user_id=str(bound.get("user_id") or ""),
        exception=exception,
    )


def _is_new(exception: BaseException | None, handler: logging.Handler) -> bool:
    """Return whether this handler has not reported this exception before, and note it."""
    if exception is None:
        return True
    done = vars(exception).setdefault(REPORTED, set())
    is_new = id(handler) not in done
    done.add(id(handler))
    return is_new


def short(path: str) -> str:
    """Return the path of a file in the portal, or of a package, without the machine's folders."""
    path = path.rpartition("/site-packages/")[2]
    return path.removeprefix(f"{ROOT}/")


def place_of(exception: BaseException) -> str:
    """Return the innermost line of the portal that led to an exception, or else its innermost line."""
    frames = traceback.extract_tb(exception.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(str(ROOT)) and "site-packages" not in frame.filename]
    for frame in reversed(ours or frames):
        return f"{short(frame.filename)}:{frame.lineno} in {frame.name}"
    return "unknown"


def traceback_of(exception: BaseException) -> str:
    """Return the traceback of an exception and of those that led to it, without messages and values."""
    parts = []
    for error in reversed(list(_chain(exception))):
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f"  {short(frame.filename)}:{frame.lineno} in {frame.name}\n    {frame.line}" for frame in frames]
        parts.append("\n".join([*lines, type(error).__qualname__]))
    return "\n\nand then\n\n".join(parts)


def _chain(exception: BaseException) -> Iterator[BaseException]:
    """Return an exception and those that led to it, the last first."""
    error: BaseException | None = exception
    for _ in range(MAX_CHAIN):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)

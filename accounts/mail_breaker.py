"""The circuit breaker of the primary route for mail.

Closed: mail goes by the primary route. After ``FAILURES`` failures in a row it opens, and mail goes by the second one.
When ``PAUSE`` has passed, one mail probes the primary route (half-open): the breaker closes, or it is open for another
``PAUSE``.

The state is a row that all processes share and that operators see. A process remembers what it last read of it. While
the primary route works, nothing is read or written; a process that still takes the breaker for closed learns from its
own first failure, which writes the row anyway. Without the row, the breaker is closed: losing it does no harm.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from accounts import metrics
from accounts.models import MailRoute

log = structlog.get_logger(__name__)

NAME = "primary"
FAILURES = 3
PAUSE = timedelta(seconds=30)
# Failures that lie further apart than this are not in a row.
WINDOW = timedelta(minutes=1)


class State(StrEnum):
    """A state of the breaker."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclass
class _Memory:
    """What this process knows. Threads may overwrite each other: every value was true a moment ago."""

    open_until: datetime | None = None
    has_failed: bool = False  # since the last success here


_memory = _Memory()


def forget() -> None:
    """Take the breaker for closed in this process, until a mail fails."""
    _memory.open_until, _memory.has_failed = None, False


def is_open() -> bool:
    """Return whether this process takes the breaker for open or half-open. No query."""
    return _memory.open_until is not None


def lets_through() -> bool:
    """Return whether a mail may go by the primary route, if only as a probe. No query while the breaker is closed."""
    if _memory.open_until is None:
        return True
    return timezone.now() >= _memory.open_until and _may_probe()


def _may_probe() -> bool:
    """Take the probe of this pause, unless another process has; return whether to use the primary route."""
    now = timezone.now()
    due = MailRoute.objects.filter(name=NAME, open_until__lte=now)
    if due.update(open_until=now + PAUSE, is_probed=True):
        _memory.open_until = now + PAUSE
        log.info("mail_breaker.half_open")
        return True
    _memory.open_until = MailRoute.objects.filter(name=NAME).values_list("open_until", flat=True).first()
    return _memory.open_until is None


def succeeded() -> None:
    """Note that a mail went by the primary route. No query, unless one had failed here or the breaker was open."""
    if not _memory.has_failed and _memory.open_until is None:
        return
    rows = MailRoute.objects.filter(name=NAME)
    if rows.exclude(open_until=None).update(failures=0, open_until=None, is_probed=False, changed_at=timezone.now()):
        metrics.count("accounts.mail_breaker", "closed")
        log.warning("mail_breaker.closed")
    else:
        rows.update(failures=0)
    forget()


def failed(error: str) -> None:
    """Note that the primary route failed, and open the breaker if it was the last straw. ``error`` holds no mail."""
    now = timezone.now()
    rows = MailRoute.objects.filter(name=NAME)
    MailRoute.objects.get_or_create(name=NAME)
    in_a_row = Case(When(failed_at__gte=now - WINDOW, then=F("failures") + 1), default=Value(1))
    rows.update(failures=in_a_row, failed_at=now, error=error)
    breaks = rows.filter(Q(open_until=None, failures__gte=FAILURES) | Q(is_probed=True))
    if breaks.update(open_until=now + PAUSE, is_probed=False, changed_at=now):
        metrics.count("accounts.mail_breaker", "opened")
        log.error("mail_breaker.opened", error=error, seconds=PAUSE.total_seconds())
    _memory.has_failed = True
    _memory.open_until = rows.values_list("open_until", flat=True).first()


def row() -> MailRoute:
    """Return the shared row, an unsaved one if the route has never failed. One query."""
    return MailRoute.objects.filter(name=NAME).first() or MailRoute(name=NAME)


def state_of(route: MailRoute) -> State:
    """Return the state that a row tells."""
    if route.open_until is None:
        return State.CLOSED
    return State.HALF_OPEN if route.is_probed else State.OPEN

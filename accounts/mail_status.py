"""How mail is doing, for operators: queues, the last hour, mailboxes that fail, the circuit breaker.

Every query uses an index and reads a bounded number of rows, so that it may be asked every few seconds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from accounts import mail_breaker, outbox
from accounts.identifiers import masked
from accounts.models import Delivery, DeliveryReason, Mail, MailRoute, User
from accounts.outbox import BULK_QUEUE, DEFAULT_QUEUE, OTP_QUEUE

QUEUES = (OTP_QUEUE, DEFAULT_QUEUE, BULK_QUEUE)
MAX_COUNTED = 10_000
SAMPLE = 10_000
MAX_MAILBOXES_SHOWN = 20
# A code that waits longer is a user who waits: something is broken.
CODE_MAY_WAIT = timedelta(seconds=60)


@dataclass(frozen=True)
class Number:
    """A count that ends at ``MAX_COUNTED``."""

    value: int

    def __str__(self) -> str:
        return f"{MAX_COUNTED}+" if self.value > MAX_COUNTED else str(self.value)


@dataclass(frozen=True)
class Queue:
    """The unsent mails of a queue."""

    name: str
    length: Number
    oldest: timedelta  # age of the oldest; 0 if there is none

    @property
    def is_late(self) -> bool:
        """Return whether a code has waited for too long."""
        return self.name == OTP_QUEUE and self.oldest > CODE_MAY_WAIT


@dataclass(frozen=True)
class Outcome:
    """The number of mails that came to the same end."""

    state: Mail.State
    delivery: Delivery
    provider: str
    count: int


@dataclass(frozen=True)
class Speed:
    """Seconds from writing the mails of a queue until they were sent."""

    queue: str
    count: int
    median: float
    p95: float
    slowest: float


@dataclass(frozen=True)
class LastHour:
    """What became of the mails of the last hour, or of the newest ``SAMPLE`` of them."""

    outcomes: list[Outcome]
    speeds: list[Speed]
    is_sample: bool


@dataclass(frozen=True)
class Mailbox:
    """A mailbox at which mail does not arrive."""

    email: str  # masked
    failed_at: datetime
    reason: str


@dataclass(frozen=True)
class Status:
    """All of it."""

    queues: list[Queue]
    last_hour: LastHour
    failing: Number
    newest_failing: list[Mailbox]
    route: MailRoute
    breaker: mail_breaker.State

    @property
    def late(self) -> Queue | None:
        """Return the queue of codes if one has waited for too long."""
        return next((queue for queue in self.queues if queue.is_late), None)


def status() -> Status:
    """Return how mail is doing. Ten queries."""
    route = mail_breaker.row()
    return Status(
        queues=queues(),
        last_hour=last_hour(),
        failing=_count(_failing()),
        newest_failing=_newest_failing(),
        route=route,
        breaker=mail_breaker.state_of(route),
    )


def queues() -> list[Queue]:
    """Return all queues. Two queries for each."""
    return [_queue(name) for name in QUEUES]


def _queue(name: str) -> Queue:
    unsent = outbox.unsent(name)
    oldest = unsent.order_by("created_at").values_list("created_at", flat=True).first()
    now = timezone.now()
    return Queue(name, _count(unsent), max(now - (oldest or now), timedelta(0)))


def _count(rows: "QuerySet[Mail] | QuerySet[User]") -> Number:
    return Number(rows[: MAX_COUNTED + 1].count())


def last_hour() -> LastHour:
    """Return what became of the mails of the last hour. One query."""
    newest = Mail.objects.filter(created_at__gte=timezone.now() - timedelta(hours=1)).order_by("-created_at")
    columns = ("state", "delivery", "provider", "queue", "created_at", "sent_at")
    ends: Counter[tuple[str, int, str]] = Counter()
    seconds: dict[str, list[float]] = {}
    count = 0
    for state, delivery, provider, queue, created_at, sent_at in newest.values_list(*columns)[:SAMPLE].iterator():
        count += 1
        ends[state, delivery, provider] += 1
        if sent_at:
            seconds.setdefault(queue, []).append(max((sent_at - created_at).total_seconds(), 0))
    outcomes = [
        Outcome(Mail.State(state), Delivery(delivery), provider, n) for (state, delivery, provider), n in ends.items()
    ]
    return LastHour(
        outcomes=sorted(outcomes, key=lambda one: (one.state, one.provider, one.delivery)),
        speeds=[_speed(queue, seconds[queue]) for queue in QUEUES if queue in seconds],
        is_sample=count == SAMPLE,
    )


def _speed(queue: str, seconds: list[float]) -> Speed:
    seconds.sort()
    return Speed(queue, len(seconds), _percentile(seconds, 50), _percentile(seconds, 95), seconds[-1])


def _percentile(ascending: Sequence[float], percent: int) -> float:
    """Return the smallest value that ``percent`` of all do not exceed."""
    return ascending[max(-(-len(ascending) * percent // 100) - 1, 0)]


def _failing() -> "QuerySet[User]":
    return User.objects.filter(mailbox_failed_at__isnull=False)


def _newest_failing() -> list[Mailbox]:
    newest = _failing().order_by("-mailbox_failed_at")[:MAX_MAILBOXES_SHOWN]
    rows = newest.values_list("email", "mailbox_failed_at", "mailbox_failure")
    labels = dict(DeliveryReason.choices)
    return [
        Mailbox(masked(email), failed_at, str(labels.get(reason, reason)))
        for email, failed_at, reason in rows
        if failed_at
    ]

"""Limits against guessing and flooding: growing delays and sliding windows, kept in the database.

A try is counted before it is checked, and given back if it was right. So a hundred parallel tries get no further than
a hundred tries in a row. A count without tries has no row: the usual sign-in inserts one and deletes it again.

Each ``take`` is a transaction of its own: a refused request does not roll it back, every process sees it, and no cache
can lose it (SR-7; docs/decisions.md#13). Code that holds the lock on a user's row calls ``refusal_of`` and ``count``
within its transaction instead.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from django.db import connection, transaction
from django.db.models import Exists
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import metrics
from accounts.models import Throttle
from accounts.refusals import Refused

BATCH = 500
TABLE = Throttle._meta.db_table
COLUMNS = ", ".join(field.attname for field in Throttle._meta.concrete_fields)


class TooManyTries(Refused):
    """The try was not checked. The answer is the same whether the account exists or not (SR-3)."""

    message = _("Too many tries.")


class NoMoreTries(Refused):
    """There were so many wrong passwords that only a password reset helps (SR-5)."""

    message = _("Too many wrong passwords. Reset your password by email to sign in again.")


@dataclass(frozen=True)
class Slot:
    """A count, named by ``key``, with up to three limits; ``limits.Limit.of`` makes it.

    A window: ``max_in_window`` tries within ``window``. A delay: after ``free`` failures in a row, it doubles with each
    further one. An end: after ``max_in_row`` failures in a row, no try is checked or, with a ``pause``, one per
    ``pause``.
    """

    key: str
    max_in_window: int = 0
    window: timedelta = timedelta(0)
    free: int = 0
    first_delay: timedelta = timedelta(0)
    longest_delay: timedelta = timedelta(0)
    max_in_row: int = 0
    pause: timedelta | None = None

    @property
    def step(self) -> str:
        """The key of the limit, without the subject."""
        return self.key.partition(":")[0]

    @property
    def digest(self) -> str:
        """The hash under which the count is stored, so that the table holds no email and no IP address."""
        return sha256(self.key.encode("utf-8", "surrogatepass")).hexdigest()


def take(slots: Iterable[Slot]) -> None:
    """Count a try on all of ``slots``. Raises ``TooManyTries`` or ``NoMoreTries``; then none is counted."""
    with transaction.atomic(durable=True):
        refusal = try_take(slots)
    if refusal:
        raise refusal


def try_take(slots: Iterable[Slot]) -> Refused | None:
    """Count on all of ``slots`` within the caller's transaction, or count on none and return the refusal."""
    return take_each({"": slots}).get("")


def take_each(groups: Mapping[str, Iterable[Slot]]) -> dict[str, Refused]:
    """Count on each group of slots by itself, within the caller's transaction; return the refusals by group name."""
    now = timezone.now()
    slots = {name: list(group) for name, group in groups.items()}
    rows = _locked([slot for group in slots.values() for slot in group], now)
    refused: dict[str, Refused] = {}
    counted: list[tuple[Throttle, Slot]] = []
    not_counted: list[Throttle] = []
    for name, group in slots.items():
        pairs = [(rows[slot.digest], slot) for slot in group]
        if refusal := _longest_refusal([pair for pair in pairs if not pair[0].is_new], now):
            refused[name] = refusal
            metrics.count_throttled(group[0].step)
            not_counted += [row for row, _slot in pairs if row.is_new]
        else:
            counted += pairs
    _count(counted, now)
    if not_counted:
        _deleted({row.digest for row in not_counted}, set())
    return refused


def refusal_of(slots: Iterable[Slot]) -> Refused | None:
    """Return the refusal if ``slots`` allow no try now. Call within a transaction; creates no row."""
    by_digest = {slot.digest: slot for slot in slots}
    rows = Throttle.objects.filter(digest__in=by_digest)
    return _longest_refusal([(row, by_digest[row.digest]) for row in rows], timezone.now())


def has_tries(slot: Slot) -> Exists:
    """Return the condition that a slot may have counted tries, for a query. Without any, it allows one."""
    return Exists(Throttle.objects.filter(digest=slot.digest))


@dataclass(frozen=True)
class Count:
    """What a slot has counted, and until when it refuses the next try."""

    tries: int  # within the window, or in a row for a slot without one
    blocked_until: datetime | None
    is_over: bool  # no try is checked any more, however long one waits

    @property
    def is_blocked(self) -> bool:
        """Whether the next try is refused."""
        return self.is_over or self.blocked_until is not None


def counts_of(slots: Collection[Slot]) -> dict[Slot, Count]:
    """Return the counts of those slots that have counted tries or refuse the next one. One query."""
    now = timezone.now()
    rows = {row.digest: row for row in Throttle.objects.filter(digest__in={slot.digest for slot in slots})}
    counts = {slot: _count_on(rows[slot.digest], slot, now) for slot in slots if slot.digest in rows}
    return {slot: count for slot, count in counts.items() if count.tries or count.is_blocked}


def _count_on(row: Throttle, slot: Slot, now: datetime) -> Count:
    since = (now - slot.window).timestamp()
    until = _blocked_until(row, slot)
    return Count(
        tries=sum(at > since for at in row.recent) if slot.max_in_window else row.in_a_row,
        blocked_until=until if until and now < until else None,
        is_over=_is_over(row, slot),
    )


def left(slot: Slot) -> int:
    """Return how many tries are left on a slot that has a window or an end."""
    row = Throttle.objects.filter(digest=slot.digest).first() or Throttle()
    since = (timezone.now() - slot.window).timestamp()
    in_window = slot.max_in_window - sum(at > since for at in row.recent) if slot.max_in_window else None
    in_a_row = slot.max_in_row - row.in_a_row if slot.max_in_row else None
    return max(0, min(number for number in (in_window, in_a_row) if number is not None))


def count(slots: Iterable[Slot]) -> bool:
    """Count a failure on all of ``slots``, within the caller's transaction. Return whether the next try is refused."""
    now = timezone.now()
    slots = list(slots)
    rows = _locked(slots, now)
    _count([(rows[slot.digest], slot) for slot in slots], now)
    return any(_count_on(rows[slot.digest], slot, now).is_blocked for slot in slots)


def give_back(slots: Collection[Slot]) -> None:
    """Remove the last try from the window and reset the failures in a row, because the try was right."""
    digests = {slot.digest for slot in slots}
    windows = {slot.digest for slot in slots if slot.max_in_window}
    # A count without a window starts anew, and a new row holds this try alone: nothing to keep of either.
    shared = windows - _deleted(digests - windows, windows)
    if not shared:
        return
    with transaction.atomic():
        rows = list(Throttle.objects.select_for_update().filter(digest__in=shared).order_by("digest"))
        for row in rows:
            row.in_a_row, row.recent = 0, row.recent[:-1]
        Throttle.objects.bulk_update(rows, ["in_a_row", "recent"])


def _deleted(always: set[str], if_new: set[str]) -> set[str]:
    """Delete rows, some of them only if no other try has been counted there; return which. One statement."""
    rows = Throttle.objects.raw(
        f"DELETE FROM {TABLE} WHERE digest IN ({_places(always)}) "
        f"OR tries = 1 AND digest IN ({_places(if_new)}) RETURNING digest",
        [*always, *if_new],
    )
    return {row.digest for row in rows}


def _places(values: Collection[object]) -> str:
    """Return the placeholders of a list in SQL, which must not be empty."""
    return ", ".join(["%s"] * len(values)) or "NULL"


def clear(slots: Iterable[Slot]) -> None:
    """Reset all counts of ``slots``."""
    _deleted({slot.digest for slot in slots}, set())


def ease(slot: Slot, *, left: int) -> None:
    """Empty the window of a slot, and lower its failures in a row so that at least ``left`` tries are left."""
    max_failures = max(0, slot.max_in_row - left)
    row = Throttle.objects.filter(digest=slot.digest)
    row.filter(in_a_row__gt=max_failures).update(in_a_row=max_failures)
    row.update(recent=[])


def _locked(slots: Iterable[Slot], now: datetime) -> dict[str, Throttle]:
    """Lock the rows of ``slots`` and return them by digest. Insert missing ones, with one try counted.

    Locks in order of digest, so that two tries that share slots cannot deadlock.
    """
    by_digest = {slot.digest: slot for slot in slots}
    digests = sorted(by_digest)
    rows: dict[str, Throttle] = {}
    for start in range(0, len(digests), BATCH):
        new = [_first_try(by_digest[digest], now) for digest in digests[start : start + BATCH]]
        rows |= {row.digest: row for row in _inserted_or_locked(new)}
    return rows


def _inserted_or_locked(new: list[Throttle]) -> Iterator[Throttle]:
    """Insert rows; lock and return as they are those that exist already, but for the number of tries."""
    fields = Throttle._meta.concrete_fields
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for row in new for field in fields]
    row_of_places = f"({_places(fields)})"
    yield from Throttle.objects.raw(
        f"INSERT INTO {TABLE} ({COLUMNS}) VALUES {', '.join([row_of_places] * len(new))} "
        f"ON CONFLICT (digest) DO UPDATE SET tries = {TABLE}.tries + 1 RETURNING {COLUMNS}",
        values,
    )


def _first_try(slot: Slot, now: datetime) -> Throttle:
    """Return the unsaved row of a count with one try. No limit refuses the first."""
    row = Throttle(digest=slot.digest)
    _add_try(row, slot, now)
    return row


def _add_try(row: Throttle, slot: Slot, now: datetime) -> None:
    row.last_at = now
    if slot.max_in_window:
        row.recent = [*row.recent, now.timestamp()][-slot.max_in_window :]
    if slot.free or slot.max_in_row:
        row.in_a_row += 1


def _longest_refusal(rows: list[tuple[Throttle, Slot]], now: datetime) -> Refused | None:
    refusal: Refused | None = None
    for row, slot in rows:
        refusal = _longer(refusal, _refusal(row, slot, now))
    return refusal


def _refusal(row: Throttle, slot: Slot, now: datetime) -> Refused | None:
    if _is_over(row, slot):
        return NoMoreTries()
    until = _blocked_until(row, slot)
    return TooManyTries(retry_at=until) if until and now < until else None


def _is_over(row: Throttle, slot: Slot) -> bool:
    return bool(slot.max_in_row) and row.in_a_row >= slot.max_in_row and slot.pause is None


def _blocked_until(row: Throttle, slot: Slot) -> datetime | None:
    ends = [end for end in (_window_until(row, slot), _delay_until(row, slot), _pause_until(row, slot)) if end]
    return max(ends, default=None)


def _window_until(row: Throttle, slot: Slot) -> datetime | None:
    if not slot.max_in_window or len(row.recent) < slot.max_in_window:
        return None
    return datetime.fromtimestamp(row.recent[-slot.max_in_window], UTC) + slot.window


def _delay_until(row: Throttle, slot: Slot) -> datetime | None:
    if not slot.free or row.in_a_row < slot.free or row.last_at is None:
        return None
    doublings = min(row.in_a_row - slot.free, 30)
    delay: timedelta = min(slot.first_delay * 2**doublings, slot.longest_delay)
    return row.last_at + delay


def _pause_until(row: Throttle, slot: Slot) -> datetime | None:
    if not slot.max_in_row or slot.pause is None or row.in_a_row < slot.max_in_row or row.last_at is None:
        return None
    return row.last_at + slot.pause


def _longer(one: Refused | None, other: Refused | None) -> Refused | None:
    """Return the refusal that lasts longer."""
    if one is None or other is None:
        return one or other
    if one.retry_at is None or other.retry_at is None:
        return one if one.retry_at is None else other
    return one if one.retry_at >= other.retry_at else other


def _count(rows: list[tuple[Throttle, Slot]], now: datetime) -> None:
    """Count a try on rows that have existed before; a new one was inserted with it."""
    old = [(row, slot) for row, slot in rows if not row.is_new]
    for row, slot in old:
        _add_try(row, slot, now)
    Throttle.objects.bulk_update([row for row, _slot in old], ["in_a_row", "recent", "last_at"], BATCH)

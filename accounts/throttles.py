"""How often may be tried what could be guessed or flooded: delays that grow and windows, kept in the database.

A try takes its slot before it is looked at and gives it back when it was right, so that a hundred parallel
tries pass no more than one after another would. Each take is a transaction of its own: no refused request rolls
it back, all processes see it, and no cache can lose it (SR-7). What is counted under the lock on a user's row uses
``refusal_of`` and ``count`` within that transaction instead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Throttle, User
from accounts.refusals import Refused
from accounts.security_log import Origin

BATCH = 500


class TooManyTries(Refused):
    """Not looked at: the answer is the same whether the account exists or not (SR-3)."""

    message = _("There were too many tries. For your safety the next one has to wait.")


class NoMoreTries(Refused):
    """Guessed at so often that only a new password by mail helps (SR-5)."""

    message = _("There were too many wrong passwords. Please choose a new one with the help of your email address.")


@dataclass(frozen=True)
class Slot:
    """Something counted, named by ``key``, with up to three limits.

    A window: ``max_in_window`` tries within ``window``. A growing delay: it doubles with each failure in a row after
    the ``free`` ones. An end: after ``max_in_row`` failures in a row nothing is looked at any more or, with a
    ``pause``, one try each ``pause``.
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
    def digest(self) -> str:
        """The key as it is stored: no address and no name."""
        return sha256(self.key.encode("utf-8", "surrogatepass")).hexdigest()


def in_window(kind: str, value: str, *, count: int, window: timedelta) -> Slot:
    """Count tries of ``value`` within a sliding window."""
    return Slot(f"{kind}:{value}", max_in_window=count, window=window)


def password_of(identifier_key: str) -> Slot:
    """Count wrong passwords in a row for what was typed as a name, whether there is such an account or not.

    An account has two names at most, a user name and an address: half of what SR-5 allows is for each.
    """
    return _password_slot(f"password:{identifier_key}", settings.PASSWORD_FAILURES_IN_A_ROW // 2)


def password_in_known_place(user: User, place: str) -> Slot:
    """Count the wrong passwords of a user in a place where that user has signed in before, apart from others' (SR-5).

    The count begins anew with each change that ends the user's sessions, so a reset opens what was shut.
    """
    key = f"password-in-place:{user.pk}:{user.credential_version}:{place}"
    return _password_slot(key, settings.PASSWORD_FAILURES_IN_A_ROW // 2)


def current_password_of(user_id: UUID) -> Slot:
    """Count the wrong current passwords given in a user's sessions."""
    return _password_slot(f"current:{user_id}")


def _password_slot(key: str, max_in_row: int = 0) -> Slot:
    return Slot(
        key,
        free=settings.PASSWORD_FAILURES_FREE,
        first_delay=settings.PASSWORD_FIRST_DELAY,
        longest_delay=settings.PASSWORD_LONGEST_DELAY,
        max_in_row=max_in_row,
    )


def by_network(kind: str, origin: Origin, *, count: int, window: timedelta) -> Slot:
    """Count tries from one client, whichever account they are about (SR-6)."""
    return in_window(kind, origin.network, count=count, window=window)


def take(slots: Iterable[Slot]) -> None:
    """Count a try on all of ``slots``, or on none. Raises ``TooManyTries`` or ``NoMoreTries`` (not counted)."""
    with transaction.atomic(durable=True):
        refusal = try_take(slots)
    if refusal:
        raise refusal


def try_take(slots: Iterable[Slot]) -> Refused | None:
    """Count on all of ``slots`` within the caller's transaction, or on none: then return why."""
    now = timezone.now()
    rows = _locked(slots)
    refusal = _worst(rows, now)
    if refusal is None:
        _count(rows, now)
    return refusal


def take_each(groups: Mapping[str, Iterable[Slot]]) -> dict[str, Refused]:
    """Count on each group of slots by itself, within the caller's transaction; return the refusals by name of group."""
    now = timezone.now()
    slots = {name: list(group) for name, group in groups.items()}
    rows = {row.digest: row for row, _slot in _locked([slot for group in slots.values() for slot in group])}
    refused: dict[str, Refused] = {}
    counted: list[tuple[Throttle, Slot]] = []
    for name, group in slots.items():
        pairs = [(rows[slot.digest], slot) for slot in group]
        if refusal := _worst(pairs, now):
            refused[name] = refusal
        else:
            counted += pairs
    _count(counted, now)
    return refused


def refusal_of(slots: Iterable[Slot]) -> Refused | None:
    """Return why nothing may be tried on ``slots`` now, if so. Call within a transaction; no row is made."""
    by_digest = {slot.digest: slot for slot in slots}
    rows = Throttle.objects.filter(digest__in=by_digest)
    return _worst([(row, by_digest[row.digest]) for row in rows], timezone.now())


def left(slot: Slot) -> int:
    """Return how many more tries fit on a slot with a window or an end of its row."""
    row = Throttle.objects.filter(digest=slot.digest).first() or Throttle()
    since = (timezone.now() - slot.window).timestamp()
    in_window = slot.max_in_window - sum(at > since for at in row.recent) if slot.max_in_window else None
    in_a_row = slot.max_in_row - row.in_a_row if slot.max_in_row else None
    return max(0, min(number for number in (in_window, in_a_row) if number is not None))


def count(slots: Iterable[Slot]) -> None:
    """Count a failure on all of ``slots``, within the caller's transaction."""
    _count(_locked(slots), timezone.now())


def give_back(slots: Iterable[Slot]) -> None:
    """Forget the last try of a window, and all failures in a row: it was right."""
    by_digest = {slot.digest: slot for slot in slots}
    with transaction.atomic():
        rows = list(Throttle.objects.select_for_update().filter(digest__in=by_digest).order_by("digest"))
        for row in rows:
            row.in_a_row, row.recent = 0, row.recent[:-1]
        Throttle.objects.bulk_update(rows, ["in_a_row", "recent"])


def clear(slots: Iterable[Slot]) -> None:
    """Forget everything that was counted on ``slots``."""
    Throttle.objects.filter(digest__in=[slot.digest for slot in slots]).update(in_a_row=0, recent=[])


def ease(slot: Slot, *, left: int) -> None:
    """Empty a window, and leave at least so many tries of a row."""
    at_most = max(0, slot.max_in_row - left)
    row = Throttle.objects.filter(digest=slot.digest)
    row.filter(in_a_row__gt=at_most).update(in_a_row=at_most)
    row.update(recent=[])


def _locked(slots: Iterable[Slot]) -> list[tuple[Throttle, Slot]]:
    """Return the rows of ``slots``, made where they are missing and locked.

    In one order everywhere: two tries that share slots wait for each other instead of blocking each other.
    """
    by_digest = {slot.digest: slot for slot in sorted(slots, key=lambda slot: slot.digest)}
    rows = [Throttle(digest=digest) for digest in by_digest]
    Throttle.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)
    locked = Throttle.objects.select_for_update().filter(digest__in=by_digest).order_by("digest")
    return [(row, by_digest[row.digest]) for row in locked]


def _worst(rows: list[tuple[Throttle, Slot]], now: datetime) -> Refused | None:
    refusal: Refused | None = None
    for row, slot in rows:
        refusal = _worse(refusal, _refusal(row, slot, now))
    return refusal


def _refusal(row: Throttle, slot: Slot, now: datetime) -> Refused | None:
    if slot.max_in_row and row.in_a_row >= slot.max_in_row and slot.pause is None:
        return NoMoreTries()
    ends = [end for end in (_window_until(row, slot), _delay_until(row, slot), _pause_until(row, slot)) if end]
    until = max(ends, default=None)
    return TooManyTries(retry_at=until) if until and now < until else None


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


def _worse(one: Refused | None, other: Refused | None) -> Refused | None:
    """Return the refusal that holds for longer."""
    if one is None or other is None:
        return one or other
    if one.retry_at is None or other.retry_at is None:
        return one if one.retry_at is None else other
    return one if one.retry_at >= other.retry_at else other


def _count(rows: list[tuple[Throttle, Slot]], now: datetime) -> None:
    for row, slot in rows:
        row.last_at = now
        if slot.max_in_window:
            row.recent = [*row.recent, now.timestamp()][-slot.max_in_window :]
        if slot.free or slot.max_in_row:
            row.in_a_row += 1
    Throttle.objects.bulk_update([row for row, _slot in rows], ["in_a_row", "recent", "last_at"], BATCH)

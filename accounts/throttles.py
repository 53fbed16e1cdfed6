"""How often may be tried what could be guessed or flooded: progressive delays and windows, kept in the database.

A try takes its slot before it is looked at and gives it back when it was right, so that a hundred parallel
tries pass no more than one after another would. Each take is a transaction of its own: no refused request rolls
it back, all processes see it, and no cache can lose it (SR-7).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Throttle
from accounts.refusals import Refused


class TooManyTries(Refused):
    """Not looked at: the answer is the same for whoever exists and whoever does not (SR-3)."""

    message = _("There were too many tries. For your safety the next one has to wait.")


class NoMoreTries(Refused):
    """Guessed at so often that only a new password by mail helps (SR-5)."""

    message = _("There were too many wrong passwords. Please choose a new one with the help of your email address.")


@dataclass(frozen=True)
class Slot:
    """Something counted, named by ``key``.

    Either a window, ``count`` tries within ``window``; or a row, where a delay doubles with each failure after
    the ``free`` ones and nothing helps after ``at_most``.
    """

    key: str
    count: int = 0
    window: timedelta = timedelta(0)
    free: int = 0
    first_delay: timedelta = timedelta(0)
    longest_delay: timedelta = timedelta(0)
    at_most: int = 0

    @property
    def digest(self) -> str:
        """The key as it is stored: no address and no name."""
        return sha256(self.key.encode("utf-8", "surrogatepass")).hexdigest()


def in_window(kind: str, value: str, *, count: int, window: timedelta) -> Slot:
    """Count tries of ``value`` within a sliding window."""
    return Slot(f"{kind}:{value}", count=count, window=window)


def password_of(identifier_key: str) -> Slot:
    """Count wrong passwords in a row for what was typed as a name, whether there is such an account or not.

    An account has two names at most, a user name and an address: half of what SR-5 allows is for each.
    """
    return _row(f"password:{identifier_key}", settings.PASSWORD_FAILURES_IN_A_ROW // 2)


def password_in_known_browser(browser: str) -> Slot:
    """Count the wrong passwords of a browser that an account has signed in with, apart from strangers' (SR-5)."""
    return _row(f"browser:{browser}")


def current_password_of(user_id: UUID) -> Slot:
    """Count the wrong current passwords of somebody signed in."""
    return _row(f"current:{user_id}")


def _row(key: str, at_most: int = 0) -> Slot:
    return Slot(
        key,
        free=settings.PASSWORD_FAILURES_FREE,
        first_delay=settings.PASSWORD_FIRST_DELAY,
        longest_delay=settings.PASSWORD_LONGEST_DELAY,
        at_most=at_most,
    )


def tries_from(kind: str, address: str | None, *, count: int, window: timedelta) -> list[Slot]:
    """Count by client address; of IPv6 by the network that one customer has (a /64)."""
    if address is None:
        return []
    parsed = ip_address(address)
    where = str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
    return [in_window(kind, where, count=count, window=window)]


def take(slots: Iterable[Slot]) -> None:
    """Count a try on all of ``slots``, or on none. Raises ``TooManyTries`` or ``NoMoreTries`` (not counted)."""
    now = timezone.now()
    # In one order everywhere: two tries that share slots wait for each other instead of blocking each other.
    by_digest = {slot.digest: slot for slot in sorted(slots, key=lambda slot: slot.digest)}
    refusal: Refused | None = None
    with transaction.atomic(durable=True):
        Throttle.objects.bulk_create([Throttle(digest=digest) for digest in by_digest], ignore_conflicts=True)
        rows = list(Throttle.objects.select_for_update().filter(digest__in=by_digest).order_by("digest"))
        for row in rows:
            refusal = _worse(refusal, _refusal(row, by_digest[row.digest], now))
        if refusal is None:
            for row in rows:
                _count(row, by_digest[row.digest], now)
            Throttle.objects.bulk_update(rows, ["in_a_row", "recent", "last_at"])
    if refusal:
        raise refusal


def give_back(slots: Iterable[Slot]) -> None:
    """Forget the last try of a window, and all failures in a row: it was right."""
    by_digest = {slot.digest: slot for slot in slots}
    with transaction.atomic():
        rows = list(Throttle.objects.select_for_update().filter(digest__in=by_digest).order_by("digest"))
        for row in rows:
            row.in_a_row, row.recent = 0, row.recent[:-1]
        Throttle.objects.bulk_update(rows, ["in_a_row", "recent"])


def _refusal(row: Throttle, slot: Slot, now: datetime) -> Refused | None:
    if slot.at_most and row.in_a_row >= slot.at_most:
        return NoMoreTries()
    until = _window_until(row, slot) if slot.count else _delay_until(row, slot)
    return TooManyTries(retry_at=until) if until and now < until else None


def _window_until(row: Throttle, slot: Slot) -> datetime | None:
    if len(row.recent) < slot.count:
        return None
    return datetime.fromtimestamp(row.recent[-slot.count], UTC) + slot.window


def _delay_until(row: Throttle, slot: Slot) -> datetime | None:
    if row.in_a_row < slot.free or row.last_at is None:
        return None
    doublings = min(row.in_a_row - slot.free, 30)
    delay: timedelta = min(slot.first_delay * 2**doublings, slot.longest_delay)
    return row.last_at + delay


def _worse(one: Refused | None, other: Refused | None) -> Refused | None:
    """Give the refusal that holds for longer."""
    if one is None or other is None:
        return one or other
    if one.retry_at is None or other.retry_at is None:
        return one if one.retry_at is None else other
    return one if one.retry_at >= other.retry_at else other


def _count(row: Throttle, slot: Slot, now: datetime) -> None:
    row.last_at = now
    if slot.count:
        row.recent = [*row.recent, now.timestamp()][-slot.count :]
    else:
        row.in_a_row += 1

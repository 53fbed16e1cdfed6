"""Limits against guessing and flooding, each declared once, in the module that uses it.

A ``Limit`` says what is counted, for whom, and how many are allowed. ``Limit.of`` returns the slot of one subject,
which ``throttles`` counts. A limit without a ``key`` is counted on the rows that it is about.

``make limits`` writes the table of all limits in docs/security.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from accounts.security_log import Origin
from accounts.throttles import Slot


@dataclass(frozen=True)
class Part:
    """A part of the number in a setting, at least one."""

    words: str
    setting: str
    of: Callable[[int], int]

    def __int__(self) -> int:
        return max(1, self.of(getattr(settings, self.setting)))


def half(setting: str) -> Part:
    """Return half of a setting's number."""
    return Part("half of", setting, lambda total: total // 2)


def three_quarters(setting: str) -> Part:
    """Return three quarters of a setting's number: a quarter stays in reserve (SR-57)."""
    return Part("three quarters of", setting, lambda total: total - total // 4)


# The name of a setting or a constant.
Number = int | str | Part
Time = timedelta | str


def _number(number: Number) -> int:
    return int(getattr(settings, number)) if isinstance(number, str) else int(number)


def _time(time: Time) -> timedelta:
    found: timedelta = getattr(settings, time) if isinstance(time, str) else time
    return found


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most ``tries`` of ``what`` within ``window`` for each ``per``, or growing delays, or an end; see ``Slot``."""

    what: str
    per: str
    key: str = ""
    tries: Number = 0
    window: Time = timedelta(0)
    free: Number = 0
    first_delay: Time = timedelta(0)
    longest_delay: Time = timedelta(0)
    in_a_row: Number = 0
    pause: Time | None = None

    @property
    def count(self) -> int:
        """How many are allowed."""
        return _number(self.tries)

    @property
    def interval(self) -> timedelta:
        """The time between two, or the window."""
        return _time(self.window if self.pause is None else self.pause)

    def of(self, *subject: object) -> Slot:
        """Return the slot of one subject, such as a user and a place."""
        return Slot(
            ":".join([self.key, *map(str, subject)]),
            max_in_window=_number(self.tries),
            window=_time(self.window),
            free=_number(self.free),
            first_delay=_time(self.first_delay),
            longest_delay=_time(self.longest_delay),
            max_in_row=_number(self.in_a_row),
            pause=None if self.pause is None else _time(self.pause),
        )

    def by_network(self, origin: Origin) -> Slot:
        """Return the slot of one client network, for all accounts together (SR-6)."""
        return self.of(origin.network)

"""The base of every refusal: an exception with a message that says what happened and what to do."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar

from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import ngettext

from accounts import metrics

MOST_MINUTES = 120  # a longer wait is told in hours


class Refused(Exception):
    """A rule refuses the request. ``message`` is shown to the user; ``retry_at`` is when to try again."""

    message: ClassVar[str | Promise] = ""

    def __init__(self, *, retry_at: datetime | None = None) -> None:
        super().__init__(type(self).__name__)
        self.retry_at = retry_at
        metrics.count(type(self).__module__, type(self).__name__)

    @property
    def seconds_to_wait(self) -> int:
        """The seconds until ``retry_at``, at least 1; 0 if there is no need to wait."""
        return seconds_until(self.retry_at) if self.retry_at else 0

    @property
    def text(self) -> str:
        """The message and, if there is a ``retry_at``, how long to wait."""
        return f"{self.message} {wait_in_words(self.retry_at)}" if self.retry_at else str(self.message)


class Counted(Refused):
    """A refusal that is counted: ``counted()`` commits the count before it raises the refusal again (SR-7)."""


@contextmanager
def counted() -> Iterator[None]:
    """Open the outermost transaction of a check that counts failures.

    After a ``Counted`` refusal, commit what the block has written, above all the count, then raise it. Any other
    exception rolls back. Raises ``RuntimeError`` within another transaction, which could roll the count back.
    """
    refusal: Counted | None = None
    with transaction.atomic(durable=True):
        try:
            yield
        except Counted as raised:
            refusal = raised
    if refusal:
        raise refusal


def seconds_until(moment: datetime) -> int:
    """Return the number of seconds until ``moment``, at least one."""
    return max(1, math.ceil((moment - timezone.now()).total_seconds()))


def wait_in_words(until: datetime) -> str:
    """Return a sentence that says when to try again."""
    seconds = seconds_until(until)
    if seconds < 60:
        return ngettext("Try again in %(n)d second.", "Try again in %(n)d seconds.", seconds) % {"n": seconds}
    minutes = math.ceil(seconds / 60)
    if minutes > MOST_MINUTES:
        hours = math.ceil(minutes / 60)
        return ngettext("Try again in %(n)d hour.", "Try again in %(n)d hours.", hours) % {"n": hours}
    return ngettext("Try again in %(n)d minute.", "Try again in %(n)d minutes.", minutes) % {"n": minutes}

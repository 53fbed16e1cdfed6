"""What each app holds of an account: one seam for its deletion, the copy that its user downloads (SR-63), and emails.

An app registers its part in ``account_part.py``, which is imported at the start. Rows that only refer to the user need
no part for the deletion: they go with the user's row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from accounts.models import SecurityEvent, User

READ_BATCH_SIZE = 1000


@dataclass(frozen=True)
class Section:
    """A table of what is known of a user, without secrets. The archive has it as JSON and as CSV."""

    name: str  # of its files
    columns: tuple[str, ...]
    rows: Callable[[], Iterable[Sequence[object]]]


def section(name: str, found: "QuerySet[Any]", /, **columns: str) -> Section:
    """Return a section with the rows of a query: ``columns`` are its columns, and the fields that they show."""
    values = found.values_list(*columns.values())
    return Section(name, tuple(columns), lambda: values.iterator(chunk_size=READ_BATCH_SIZE))


PARTS: list["AccountPart"] = []


class AccountPart:
    """What one app holds of an account. Each method does nothing unless an app has something to say."""

    def sections(self, user: User) -> Iterable[Section]:
        """Return what is known of a user, for the copy that they download; long tables newest first."""
        del user
        return ()

    def notice_context(self, event: SecurityEvent) -> dict[str, object]:
        """Return what the email about a security event is told besides; nothing for most."""
        del event
        return {}

    def check_deletion(self, user: User) -> None:
        """Raise a refusal if the account must not be deleted. Called under the lock on the user's row."""

    def delete(self, user: User) -> None:
        """Delete or anonymise what does not go with the user's row. Called after ``check_deletion``, likewise."""


def notice_context(event: SecurityEvent) -> dict[str, object]:
    """Return what all parts tell the email about a security event."""
    return {name: value for part in PARTS for name, value in part.notice_context(event).items()}


def register(part: AccountPart) -> AccountPart:
    """Register the part of an app, and return it."""
    PARTS.append(part)
    return part

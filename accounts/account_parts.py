"""What each app holds of an account: one seam for its deletion and for the copy that its user downloads (SR-63).

An app registers its part in ``account_part.py``, which is imported at the start. Rows that only refer to the user need
no part for the deletion: they go with the user's row.
"""

from accounts.models import User

PARTS: list["AccountPart"] = []


class AccountPart:
    """What one app holds of an account. Each method does nothing unless an app has something to say."""

    def check_deletion(self, user: User) -> None:
        """Raise a refusal if the account must not be deleted. Called under the lock on the user's row."""

    def delete(self, user: User) -> None:
        """Delete or anonymise what does not go with the user's row. Called after ``check_deletion``, likewise."""


def register(part: AccountPart) -> AccountPart:
    """Register the part of an app, and return it."""
    PARTS.append(part)
    return part

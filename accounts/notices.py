"""The mails that a user can turn off. All others are always sent: SR-54 asks for them, or a user waits for them.

Turning one off is a change of what protects the account: it needs a recent proof, and is recorded and mailed.
"""

from collections.abc import Collection

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts import security_log
from accounts.locks import lock_unchanged
from accounts.models import User
from accounts.security_log import Kind, Origin


class Notice(models.TextChoices):
    """The optional mails, with what users read."""

    NEW_BROWSER = "new_browser", _("Someone signed in to your account with a new browser")
    REMINDERS = "reminders", _("Reminders of what your organizations have announced, or will soon require")


def are_wanted(user: User, notice: Notice) -> bool:
    """Return whether a user gets mails of this kind. By default, everyone does."""
    return notice not in user.muted_notices.split()


def is_muted(notice: Notice, of: str = "") -> models.Q:
    """Return the condition that a user has turned these mails off; ``of`` leads to the user, such as "user__"."""
    return models.Q(**{f"{of}muted_notices__contains": notice.value})  # no name is part of another


def wanted(user: User) -> list[str]:
    """Return the optional mails that a user gets."""
    return [notice.value for notice in Notice if are_wanted(user, notice)]


def change(user: User, wanted: Collection[str], origin: Origin) -> None:
    """Send a user only these of the optional mails. Raises ``ChangedMeanwhile``."""
    muted = " ".join(notice.value for notice in Notice if notice not in wanted)
    with transaction.atomic():
        user = lock_unchanged(user)
        if user.muted_notices == muted:
            return
        user.muted_notices = muted
        user.save(update_fields=["muted_notices"])
        security_log.record(user, Kind.NOTICES_CHANGED, origin)

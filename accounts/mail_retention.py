"""Mails are deleted after ``MAIL_KEPT_FOR``. What an app still needs of them it keeps first (docs/decisions.md#53)."""

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import outbox
from accounts.housekeeping import delete_in_batches
from accounts.models import IsUnsent, Mail

KeepOf = Callable[[list[UUID]], None]
_KEPT_BY: list[KeepOf] = []
# For one call, so that no task runs for minutes; the next one continues.
MAX_BATCHES = 100


def before_deletion(keep_of: KeepOf) -> KeepOf:
    """Register a function that keeps what its app needs of mails, in the transaction that deletes them.

    It gets their ids.
    """
    _KEPT_BY.append(keep_of)
    return keep_of


def forget_old() -> int:
    """Delete mails older than ``MAIL_KEPT_FOR``, but none that is still to be sent. Return the number deleted."""
    outbox.register_mails()  # a process that has not imported all apps must not delete what they need
    old = Mail.objects.filter(created_at__lt=timezone.now() - settings.MAIL_KEPT_FOR)
    ended = old.exclude(IsUnsent("state")).order_by("created_at")
    return delete_in_batches(ended, delete=_delete, max_batches=MAX_BATCHES)


@transaction.atomic
def _delete(ids: list[UUID]) -> None:
    for keep_of in _KEPT_BY:
        keep_of(ids)
    Mail.objects.filter(pk__in=ids).delete()

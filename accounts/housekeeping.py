"""Deletes expired rows, in batches."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count as count_up
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import (
    KNOWN_BROWSER_LIFETIME,
    DataExport,
    DeletedAccount,
    EmailChange,
    EmailVerification,
    KnownBrowser,
    Session,
    Throttle,
    Token,
    UsedNonce,
)

BATCH = 1000
THROTTLE_RETENTION = timedelta(days=30)
WINDOW_RETENTION = timedelta(days=1)  # longer than every window
# More failures in a row are kept for ever (SR-5). Fewer are deleted: names without an account would pile up.
MIN_FAILURES_KEPT = 5
FAREWELL_RETENTION = timedelta(days=2)  # longer than the outbox tries to send a mail
RETENTION = timedelta(hours=1)  # of expired rows, so that pages can say "this has expired"


def delete_in_batches(
    rows: "QuerySet[Any]", *, delete: Callable[[list[Any]], None] | None = None, max_batches: int | None = None
) -> int:
    """Delete rows a batch at a time, so that no lock is held for long. Return the number deleted.

    ``delete`` deletes a batch by its primary keys, where more is to be done in the same transaction.
    """
    count = 0
    for _batch in count_up() if max_batches is None else range(max_batches):
        batch = list(rows.values_list("pk", flat=True)[:BATCH])
        if not batch:
            break
        if delete:
            delete(batch)
        else:
            rows.model._default_manager.filter(pk__in=batch).delete()
        count += len(batch)
    return count


def forget_expired() -> int:
    """Delete expired sessions, tokens, nonces and email verifications. Return the number of rows deleted."""
    now = timezone.now()
    return (
        delete_in_batches(Session.objects.filter(expire_date__lt=now))
        + delete_in_batches(Token.objects.filter(expires_at__lt=now))
        + delete_in_batches(KnownBrowser.objects.filter(last_used_at__lt=now - KNOWN_BROWSER_LIFETIME))
        + delete_in_batches(Throttle.objects.filter(last_at__lt=now - WINDOW_RETENTION, in_a_row=0))
        + delete_in_batches(
            Throttle.objects.filter(last_at__lt=now - THROTTLE_RETENTION, in_a_row__lt=MIN_FAILURES_KEPT)
        )
        + delete_in_batches(EmailChange.objects.filter(at__lt=now - settings.EMAIL_CHANGE_UNDO_WINDOW - RETENTION))
        + delete_in_batches(DataExport.objects.filter(expires_at__lt=now))
        + delete_in_batches(DeletedAccount.objects.filter(at__lt=now - FAREWELL_RETENTION))
        + delete_in_batches(UsedNonce.objects.filter(expires_at__lt=now))
        + delete_in_batches(EmailVerification.objects.filter(expires_at__lt=now - RETENTION))
    )

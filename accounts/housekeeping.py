"""Keeps tables small: deletes, in batches, what has expired."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Model, QuerySet
from django.utils import timezone

from accounts.models import (
    KNOWN_BROWSER_FOR,
    AddressChange,
    KnownBrowser,
    MailboxProof,
    Session,
    SignInAttempt,
    Throttle,
    Token,
    UsedNonce,
)

BATCH = 1000
# Expired rows explain "this has expired" for a while.
TRIES_KEPT_FOR = timedelta(days=30)
WINDOWS_KEPT_FOR = timedelta(days=1)  # longer than every window
# A longer row of failures counts for ever (SR-5); shorter ones of names that nobody has would pile up.
TRIES_THAT_MATTER = 5
KEPT_FOR = timedelta(hours=1)


def delete_in_batches(rows: "QuerySet[Model]") -> int:
    """Delete rows a batch at a time, so that no lock is held for long. Gives how many."""
    count = 0
    while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=batch).delete()  # noqa: SLF001  (documented API)
        count += len(batch)
    return count


def forget_expired() -> int:
    """Delete expired sessions, tokens, nonces, sign-ins and mailbox proofs. Gives how many."""
    now = timezone.now()
    return (
        delete_in_batches(Session.objects.filter(expire_date__lt=now))
        + delete_in_batches(Token.objects.filter(expires_at__lt=now))
        + delete_in_batches(KnownBrowser.objects.filter(last_used_at__lt=now - KNOWN_BROWSER_FOR))
        + delete_in_batches(Throttle.objects.filter(last_at__lt=now - WINDOWS_KEPT_FOR, in_a_row=0))
        + delete_in_batches(Throttle.objects.filter(last_at__lt=now - TRIES_KEPT_FOR, in_a_row__lt=TRIES_THAT_MATTER))
        + delete_in_batches(AddressChange.objects.filter(at__lt=now - settings.EMAIL_CHANGE_UNDO_FOR - KEPT_FOR))
        + delete_in_batches(UsedNonce.objects.filter(expires_at__lt=now))
        + delete_in_batches(SignInAttempt.objects.filter(expires_at__lt=now - KEPT_FOR))
        + delete_in_batches(MailboxProof.objects.filter(expires_at__lt=now - KEPT_FOR))
    )

"""Deleting an account (SR-63): asked for with a recent proof, done by a worker after a waiting time.

Asking ends all sessions. Until the time is over, a finished sign-in or the link of the mail undoes it. The lock on the
user's row decides between a sign-in and the worker.
"""

from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import account_parts, outbox, security_log, sessions, time_zones
from accounts.encryption import seal
from accounts.locks import lock_unchanged
from accounts.models import DeletedAccount, EmailChange, Mail, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin

log = structlog.get_logger(__name__)

SALT = "accounts.keep_account"
BATCH = 500


class StaffAccount(Refused):
    """The account is staff's, whose acts in the administration have to stay (SR-52)."""

    message = _(
        "The account of an administrator cannot be deleted. Ask another administrator to end your rights first."
    )


def due_at(user: User) -> datetime:
    """Return when an account would be deleted that its user asks to delete now. One query.

    Never before the holder of an earlier address can no longer undo its change: an attacker may have made it (SR-29).
    """
    due = timezone.now() + settings.ACCOUNT_DELETION_WAIT
    changed = EmailChange.objects.filter(user=user, undone_at=None).aggregate(last=Max("at"))["last"]
    return max(due, changed + settings.EMAIL_CHANGE_UNDO_WINDOW) if changed else due


def ask(user: User, origin: Origin) -> User:
    """Let an account be deleted after ``ACCOUNT_DELETION_WAIT``; end all its sessions and tokens now. Return it.

    Raises ``StaffAccount``, ``ChangedMeanwhile``, or a refusal of an app's part.
    """
    with transaction.atomic(durable=True):
        user = lock_unchanged(user)
        _check(user)
        user.deletion_due_at = due_at(user)
        user.save(update_fields=["deletion_due_at"])
        sessions.end_others(user, keep=None)
        event = security_log.record(user, Kind.DELETION_ASKED, origin)
        outbox.post("accounts.deletion_asked", user=user, about=event.pk)
    log.info("account.deletion_asked", user_id=str(user.pk))
    return user


def _check(user: User) -> None:
    if user.is_staff:
        raise StaffAccount
    for part in account_parts.PARTS:
        part.check_deletion(user)


def keep(user: User, origin: Origin) -> None:
    """Undo the request to delete an account. Call under the lock on the user's row."""
    _call_off(user, Kind.DELETION_UNDONE, origin)


def _call_off(user: User, kind: Kind, origin: Origin) -> None:
    user.deletion_due_at = None
    user.save(update_fields=["deletion_due_at"])
    security_log.record(user, kind, origin)
    log.info("account.deletion_called_off", user_id=str(user.pk), reason=str(kind))


def keep_token(user: User) -> str:
    """Return the token of the mail's link. It can only undo this one request."""
    return signing.dumps([str(user.pk), _due_in_token(user)], salt=SALT)


def _due_in_token(user: User) -> str:
    return user.deletion_due_at.isoformat() if user.deletion_due_at else ""


def find_pending(token: str) -> User | None:
    """Return the user whom a token names, if the request that it was mailed for still waits."""
    try:
        user_id, due = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    user = User.objects.filter(pk=user_id, is_active=True, deletion_due_at__isnull=False).first()
    return user if user and _due_in_token(user) == due else None


def keep_by_mail(user: User, origin: Origin) -> bool:
    """Undo the request to delete an account, for who holds its mailbox. Return False if that is too late."""
    with transaction.atomic(durable=True):
        locked = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        if locked is None:
            return False
        if locked.deletion_due_at:
            keep(locked, origin)
    return True


# --- The worker -----------------------------------------------------------------------------------


def _is_due() -> Q:
    # A disabled account stays: the staff who disabled it need its log.
    return Q(deletion_due_at__lte=timezone.now(), is_active=True)


def delete_due() -> int:
    """Delete the accounts whose waiting time is over, each in a transaction of its own. Return how many.

    Safe to repeat: an account is deleted as a whole or not at all, and one that fails waits for the next call.
    """
    due = User.objects.filter(_is_due()).order_by("deletion_due_at").values_list("pk", flat=True)
    count = 0
    for user_id in list(due[:BATCH]):
        try:
            count += _delete(user_id)
        except Exception:
            log.exception("account.not_deleted", user_id=str(user_id))
    return count


def _delete(user_id: UUID) -> bool:
    """Delete an account, unless its user has signed in meanwhile. Return whether it was deleted."""
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update(no_key=True).filter(_is_due(), pk=user_id).first()
        if user is None:
            return False
        try:
            _check(user)
        except Refused:
            _call_off(user, Kind.DELETION_STOPPED, Origin())
            return False
        for part in account_parts.PARTS:
            part.delete(user)
        farewell = DeletedAccount.objects.create(sealed_email=seal(user.email.encode()))
        user.delete()  # and every row that refers to it
        kept = {"language": user.language, "time_zone": time_zones.of_user(user)}
        outbox.post_many([Mail(task="accounts.account_deleted", about=str(farewell.pk), **kept)])
    log.info("account.deleted", user_id=str(user_id))
    return True

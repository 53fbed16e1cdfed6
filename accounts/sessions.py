"""The sessions of a user, in browsers and at the command line (SR-36)."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import CharField, QuerySet, Value
from django.utils import timezone

from accounts import security_log
from accounts.locks import lock_unchanged
from accounts.models import Channel, EmailVerification, Session, Token, User
from accounts.security_log import Kind, Origin
from accounts.session_store import row_key

# Not password resets, which begin without a session: an attacker with a session must not end them.
BEGUN_IN_SESSIONS = (EmailVerification.Purpose.CHANGE_EMAIL, EmailVerification.Purpose.CONFIRM_MAILBOX)
COLUMNS = ("public_id", "created_at", "last_used_at", "mode", "factor_name", "ip_address", "agent")


def of_user(user: User) -> "QuerySet[Any, dict[str, Any]]":
    """Return the ``COLUMNS`` and the ``channel`` of each session of a user, last used first."""
    now = timezone.now()
    browsers = Session.objects.filter(user=user, expire_date__gt=now)
    clients = Token.objects.filter(user=user, expires_at__gt=now)
    return (
        browsers.values(*COLUMNS, channel=Value(Channel.BROWSER, CharField()))
        .union(clients.values(*COLUMNS, channel=Value(Channel.CLI, CharField())), all=True)
        .order_by("-last_used_at", "public_id")
    )


def end(user: User, public_id: UUID, origin: Origin) -> bool:
    """End one session of a user. Return whether there was one."""
    rows = Session.objects.filter(user=user, public_id=public_id)
    # Twice: a concurrent request that gives the session a new key replaces the row.
    ended = rows.delete()[0] or rows.delete()[0]
    if not ended:
        ended, _rows = Token.objects.filter(user=user, public_id=public_id).delete()
    if ended:
        security_log.record(user, Kind.SESSION_ENDED, origin)
    return bool(ended)


def end_others(user: User, *, keep: str | None) -> None:
    """End all sessions, tokens and pending sign-ins of ``user`` except the session with the key ``keep`` (SR-25).

    Call under the lock on the user's row. Pending sign-ins carry the old fingerprint, so they are over. So does a
    sign-in that finished before the lock but writes its session after it: its first request ends it. The kept session
    needs the new fingerprint.
    """
    Session.objects.filter(user=user).exclude(session_key=row_key(keep)).delete()
    Token.objects.filter(user=user).delete()
    now = timezone.now()
    begun_in_sessions = EmailVerification.objects.filter(user=user, purpose__in=BEGUN_IN_SESSIONS, ended_at=None)
    begun_in_sessions.update(ended_at=now, mailbox_key="")
    user.credential_version += 1
    user.save(update_fields=["credential_version"])


def end_all_others(user: User, origin: Origin, *, keep: str | None) -> User:
    """End all other sessions at the user's request; return the user, whose fingerprint the kept session needs."""
    with transaction.atomic():
        user = lock_unchanged(user)
        end_others(user, keep=keep)
        security_log.record(user, Kind.SESSIONS_ENDED, origin)
    return user

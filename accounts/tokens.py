"""Tokens: the sessions of the command-line client (SR-35)."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.identifiers import digest_of
from accounts.models import Token, User
from accounts.security_log import Origin

PREFIX = "datica_"  # secret scanners and people recognise it
LAST_USED_INTERVAL = timedelta(minutes=1)


def issue(user: User, origin: Origin, *, mode: str, by_key: bool = False) -> str:
    """Create a token for a user whose sign-in was finished, and return the only copy of it.

    ``user`` is the one that the sign-in has read under its lock: the token carries the fingerprint of then (SR-25).
    ``mode`` says what proved the sign-in besides the first proof, blank where MFA is off; ``by_key``, that the
    first proof was an SSH key.
    """
    value = PREFIX + secrets.token_urlsafe(32)
    Token.objects.create(
        digest=digest_of(value),
        user=user,
        credential_fingerprint=user.get_session_auth_hash(),
        mode=mode,
        by_key=by_key,
        ip_address=origin.ip_address,
        agent=origin.agent[:255],
        expires_at=timezone.now() + settings.TOKEN_LIFETIME,
    )
    return value


def find(value: str) -> Token | None:
    """Find the token that still opens its user's account, and note that it was used. One query, rarely two."""
    if not value.startswith(PREFIX):
        return None
    token = Token.objects.select_related("user").filter(digest=digest_of(value)).first()
    if token is None or not _is_good(token):
        return None
    now = timezone.now()
    if now - token.last_used_at > LAST_USED_INTERVAL:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def _is_good(token: Token) -> bool:
    """Return whether neither time nor a change of password, address or factors has ended it (SR-25).

    Such changes delete tokens too; compared here again, no order of events leaves one behind that still works.
    """
    now, user = timezone.now(), token.user
    return (
        now < token.expires_at
        and now - token.last_used_at <= settings.TOKEN_IDLE_TIMEOUT
        and user.is_active
        and bool(token.mode) == user.mfa_is_on
        and constant_time_compare(token.credential_fingerprint, user.get_session_auth_hash())
    )


def revoke(token: Token) -> None:
    """End a token at once."""
    Token.objects.filter(pk=token.pk).delete()

"""Tokens: the sessions of the command-line client (SR-35)."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.identifiers import digest_of
from accounts.models import Token, User
from accounts.security_log import Origin

PREFIX = "datica_"  # lets secret scanners and people recognise a token
LAST_USED_INTERVAL = timedelta(minutes=1)


def issue(user: User, origin: Origin, *, mode: str, by_key: bool = False) -> str:
    """Create a token for a user whose sign-in was finished, and return its only copy.

    ``user`` is the row that the sign-in read under its lock, and the token carries its fingerprint (SR-25). ``mode`` is
    what proved the sign-in besides the first proof, blank if MFA is off. ``by_key``: the first proof was an SSH key.
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
    """Return the valid token with this value, and record its use. One query, rarely two."""
    if not value.startswith(PREFIX):
        return None
    token = Token.objects.select_related("user").filter(digest=digest_of(value)).first()
    if token is None or not _is_valid(token):
        return None
    now = timezone.now()
    if now - token.last_used_at > LAST_USED_INTERVAL:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def _is_valid(token: Token) -> bool:
    """Return whether a token has not expired and its user's password, email and factors are unchanged (SR-25).

    Such changes also delete tokens. The check here covers a token that is issued during the change.
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

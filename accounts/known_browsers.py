"""Browsers and, at the command line, networks in which an account has signed in before.

Limits that others use up do not apply there (SR-5, SR-57), and the user is notified of a new browser (SR-54). Each user
of a browser has their own token in its cookie, so an earlier user of the browser holds no copy of it.
"""

import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts import security_log
from accounts.identifiers import digest_of
from accounts.locks import is_unchanged, lock_user
from accounts.models import KNOWN_BROWSER_LIFETIME, Channel, KnownBrowser, SecurityEvent, User
from accounts.security_log import Kind, Origin

KNOWN_NETWORK_LIFETIME = timedelta(days=30)
MAX_SIGN_INS = 100  # how many of the newest sign-ins are searched for a network
MAX_TOKENS = 8  # users of one browser whose tokens its cookie holds


def find(user: User, origin: Origin) -> KnownBrowser | None:
    """Return the user's row for the browser of ``origin``. No query without a token."""
    if not origin.browser_tokens:
        return None
    digests = [digest_of(token) for token in origin.browser_tokens]
    since = timezone.now() - KNOWN_BROWSER_LIFETIME
    return KnownBrowser.objects.filter(user=user, digest__in=digests, last_used_at__gt=since).first()


def place_of(user: User, origin: Origin, *, channel: Channel, by_factor: bool = False) -> str:
    """Return the name of this browser or, at the command line, this network, if the user has signed in there before.

    Otherwise return an empty string. Failures counted under this name belong to that place and that user. With MFA on,
    a place counts only if a factor or the mailbox was proven there, because an attacker with the password may have
    begun to sign in there. ``by_factor``: only if a factor was proven, because an attacker with the mailbox may guess
    codes.
    """
    if channel == Channel.BROWSER:
        known = find(user, origin)
        return f"browser:{known.digest}" if known and _counts(known, user, by_factor=by_factor) else ""
    since = timezone.now() - KNOWN_NETWORK_LIFETIME
    events = SecurityEvent.objects.filter(user=user, kind=Kind.SIGNED_IN, at__gt=since)
    if by_factor or user.mfa_is_on:
        events = events.exclude(mode="")
    if origin.ip_address is None:
        return ""
    ip_addresses = events.order_by("-at").values_list("ip_address", flat=True)[:MAX_SIGN_INS]
    signed_in_here = any(Origin(ip).network == origin.network for ip in ip_addresses if ip)
    return f"network:{origin.network}" if signed_in_here else ""


def _counts(known: KnownBrowser, user: User, *, by_factor: bool) -> bool:
    if by_factor:
        return known.factor_proven_at is not None
    return not user.mfa_is_on or known.factor_proven_at is not None or known.mailbox_proven_at is not None


def has_proven_mailbox(user: User, origin: Origin) -> bool:
    """Return whether the browser of ``origin`` has proven the user's mailbox or a factor before (SR-23)."""
    known = find(user, origin)
    return known is not None and (known.mailbox_proven_at or known.factor_proven_at) is not None


def note_sign_in(user: User, origin: Origin, *, by_factor: bool) -> tuple[str, ...]:
    """Record that ``user`` has signed in with the browser of ``origin``; return the tokens for its cookie.

    ``user`` is the row that the sign-in read under its lock; ``by_factor``: a factor was proven. The user is notified
    of a new browser, unless it is the account's first.
    """
    now = timezone.now()
    proven = {"factor_proven_at": now} if by_factor else {}
    return _note(user, origin, tell=True, last_used_at=now, **proven)


def note_mailbox(user: User, origin: Origin) -> tuple[str, ...]:
    """Record that the browser of ``origin`` has proven the user's mailbox; return the tokens for its cookie."""
    return _note(user, origin, tell=False, mailbox_proven_at=timezone.now())


def _note(user: User, origin: Origin, *, tell: bool, **columns: datetime) -> tuple[str, ...]:
    if (known := find(user, origin)) is not None:
        KnownBrowser.objects.filter(pk=known.pk).update(**columns)
        return origin.browser_tokens
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        # A password reset since the proof has forgotten all browsers, so this one must not be added (SR-25).
        if not is_unchanged(user, lock_user(user)):
            return origin.browser_tokens
        is_first = not KnownBrowser.objects.filter(user=user).exists()
        KnownBrowser.objects.create(user=user, digest=digest_of(token), **columns)
        if tell and not is_first:
            security_log.record(user, Kind.NEW_BROWSER, origin)
    return (*origin.browser_tokens, token)[-MAX_TOKENS:]


def forget_all(user: User) -> None:
    """Forget every browser of a user, because the password was reset."""
    KnownBrowser.objects.filter(user=user).delete()

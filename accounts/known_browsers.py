"""Browsers and, at the command line, networks in which an account has signed in before.

What others use up does not hold them back (SR-5, SR-57), and the owner is told of a new browser (SR-54). Each user of a
browser has a token of their own in its cookie: who used the browser earlier holds no copy of it.
"""

import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts import security_log
from accounts.identifiers import digest_of
from accounts.models import KNOWN_BROWSER_FOR, Channel, KnownBrowser, SecurityEvent, User
from accounts.security_log import Kind, Origin

KNOWN_NETWORK_FOR = timedelta(days=30)
MAX_TOKENS = 8  # users of one browser whose tokens its cookie holds


def find(user: User, origin: Origin) -> KnownBrowser | None:
    """Return the user's row for the browser of ``origin``. No query without a token."""
    if not origin.browser_tokens:
        return None
    digests = [digest_of(token) for token in origin.browser_tokens]
    since = timezone.now() - KNOWN_BROWSER_FOR
    return KnownBrowser.objects.filter(user=user, digest__in=digests, last_used_at__gt=since).first()


def place_of(user: User, origin: Origin, *, channel: Channel) -> str:
    """Return a name for where the user has signed in before: this browser or, at the command line, this network.

    Blank where the user has not. Counts that are kept by this name belong to that place and to that user. With MFA on,
    a place counts only if a factor or the mailbox was proven there: a thief of the password may have signed in before.
    """
    if channel == Channel.BROWSER:
        known = find(user, origin)
        return f"browser:{known.digest}" if known and (known.proven_at or not user.mfa_is_on) else ""
    since = timezone.now() - KNOWN_NETWORK_FOR
    events = SecurityEvent.objects.filter(user=user, kind=Kind.SIGNED_IN, at__gt=since)
    if user.mfa_is_on:
        events = events.exclude(mode="")
    signed_in_here = origin.address is not None and events.filter(address=origin.address).exists()
    return f"network:{origin.network}" if signed_in_here else ""


def note_sign_in(user: User, origin: Origin, *, proven: bool) -> tuple[str, ...]:
    """Note that ``user`` has signed in with the browser of ``origin``; return the tokens for its cookie.

    ``proven``: a factor or the mailbox was proven too. The owner is told of a browser that is new, unless it is the
    account's first.
    """
    known = find(user, origin)
    now = timezone.now()
    if known is not None:
        KnownBrowser.objects.filter(pk=known.pk).update(last_used_at=now, **({"proven_at": now} if proven else {}))
        return origin.browser_tokens
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        is_first = not KnownBrowser.objects.filter(user=user).exists()
        KnownBrowser.objects.create(user=user, digest=digest_of(token), proven_at=now if proven else None)
        if not is_first:
            security_log.record(user, Kind.NEW_BROWSER, origin)
    return (*origin.browser_tokens, token)[-MAX_TOKENS:]


def note_proof(user: User, origin: Origin) -> tuple[str, ...]:
    """Note that the browser of ``origin`` has proven the user's mailbox; return the tokens for its cookie."""
    now = timezone.now()
    if (known := find(user, origin)) is not None:
        KnownBrowser.objects.filter(pk=known.pk).update(proven_at=now)
        return origin.browser_tokens
    token = secrets.token_urlsafe(32)
    KnownBrowser.objects.create(user=user, digest=digest_of(token), proven_at=now)
    return (*origin.browser_tokens, token)[-MAX_TOKENS:]


def forget_all(user: User) -> None:
    """Treat every browser of a user as unknown: the password was reset."""
    KnownBrowser.objects.filter(user=user).delete()

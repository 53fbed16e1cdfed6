"""Browsers in which an account has signed in before.

A stranger's guesses do not hold them back (SR-5); of a new one the owner is told (SR-54).
"""

import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts import security_log
from accounts.identifiers import digest_of
from accounts.models import KNOWN_BROWSER_FOR, Channel, KnownBrowser, SecurityEvent, User
from accounts.security_log import Kind, Origin

FAMILIAR_FOR = timedelta(days=30)


def find(user: User, token: str) -> KnownBrowser | None:
    """Find the browser of a token among the user's. No query without a token."""
    if not token:
        return None
    known = KnownBrowser.objects.filter(digest=digest_of(token), user=user).first()
    return known if known and timezone.now() - known.last_used_at < KNOWN_BROWSER_FOR else None


def is_familiar(user: User, origin: Origin, *, channel: Channel) -> bool:
    """Whether the user has signed in from there before: with this browser or, at the command line, this address."""
    if channel == Channel.BROWSER:
        return find(user, origin.browser) is not None
    since = timezone.now() - FAMILIAR_FOR
    return SecurityEvent.objects.filter(user=user, kind=Kind.SIGNED_IN, address=origin.address, at__gt=since).exists()


def note(user: User, origin: Origin) -> str:
    """Note that ``user`` has signed in with the browser of ``origin``; gives the token that its cookie is to hold.

    The owner is told of a browser that is new, unless it is the account's first.
    """
    known = find(user, origin.browser)
    if known is not None:
        KnownBrowser.objects.filter(pk=known.pk).update(last_used_at=timezone.now())
        return origin.browser
    # A browser that others use too keeps the token that they know it by.
    shared = bool(origin.browser) and KnownBrowser.objects.filter(digest=digest_of(origin.browser)).exists()
    token = origin.browser if shared else secrets.token_urlsafe(32)
    with transaction.atomic():
        is_first = not KnownBrowser.objects.filter(user=user).exists()
        KnownBrowser.objects.create(user=user, digest=digest_of(token))
        if not is_first:
            security_log.record(user, Kind.NEW_BROWSER, origin)
    return token


def forget(user: User) -> None:
    """Treat every browser of a user as a stranger's: the password was reset."""
    KnownBrowser.objects.filter(user=user).delete()

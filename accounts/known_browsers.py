"""Browsers and, at the command line, networks in which an account has signed in before.

Limits that others use up do not apply there (SR-5, SR-57), and the user is notified of a new browser (SR-54). Each user
of a browser has their own token in its cookie, so an earlier user of the browser holds no copy of it.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts import security_log
from accounts.identifiers import digest_of
from accounts.locks import is_unchanged, lock_user
from accounts.models import KNOWN_BROWSER_LIFETIME, Channel, KnownBrowser, SecurityEvent, User
from accounts.security_log import Kind, Origin

KNOWN_NETWORK_LIFETIME = timedelta(days=30)
MAX_SIGN_INS = 100  # how many of the newest sign-ins are searched for a network
MAX_PLACES = 50  # known browsers, and networks, of a user that ``places_of`` returns
MAX_TOKENS = 8  # users of one browser whose tokens its cookie holds
# How often the last use is written: it only decides when a browser is forgotten, after more than a year.
LAST_USED_INTERVAL = timedelta(days=1)
COLUMNS = ("id", "digest", "last_used_at", "mailbox_proven_at", "factor_proven_at")
READ = "known_browser_"  # prefix of the columns that ``with_browser`` reads


def with_browser(users: QuerySet[User], origin: Origin) -> QuerySet[User]:
    """Read users together with their rows for the browser of ``origin``, which ``find`` then needs no query for."""
    if not origin.browser_tokens:
        return users
    this = Q(known_browsers__digest__in=_digests(origin), known_browsers__last_used_at__gt=_forgotten_before())
    columns = {f"{READ}{column}": F(f"this_browser__{column}") for column in COLUMNS}
    joined = users.annotate(this_browser=FilteredRelation("known_browsers", condition=this))
    return joined.annotate(**columns).order_by(f"{READ}id")


def find(user: User, origin: Origin) -> KnownBrowser | None:
    """Return the user's row for the browser of ``origin``.

    No query without a token, or if it was read with the user.
    """
    if not origin.browser_tokens:
        return None
    if hasattr(user, f"{READ}id"):
        columns = {column: getattr(user, f"{READ}{column}") for column in COLUMNS}
        return KnownBrowser(user=user, **columns) if columns["id"] else None
    return _of_tokens(user, origin).first()


def _of_tokens(user: User, origin: Origin) -> QuerySet[KnownBrowser]:
    return KnownBrowser.objects.filter(user=user, digest__in=_digests(origin), last_used_at__gt=_forgotten_before())


def _digests(origin: Origin) -> list[str]:
    return [digest_of(token) for token in origin.browser_tokens]


def _forgotten_before() -> datetime:
    return timezone.now() - KNOWN_BROWSER_LIFETIME


def place_of(user: User, origin: Origin, *, channel: Channel, by_factor: bool = False) -> str:
    """Return the name of this browser or, at the command line, this network, if the user has signed in there before.

    Otherwise return an empty string. Failures counted under this name belong to that place and that user. With MFA on,
    a place counts only if a factor or the mailbox was proven there, because an attacker with the password may have
    begun to sign in there. ``by_factor``: only if a factor was proven, because an attacker with the mailbox may guess
    codes.
    """
    if channel == Channel.BROWSER:
        known = find(user, origin)
        return _name_of(known.digest) if known and _counts(known, user, by_factor=by_factor) else ""
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


def _name_of(digest: str) -> str:
    return f"browser:{digest}"


@dataclass(frozen=True)
class Places:
    """Where an account has been used lately: what its limits may have counted."""

    known: list[str]  # as ``place_of`` names them
    networks: list[str]


def places_of(user: User) -> Places:
    """Return the newest known browsers of a user and the networks of the newest events. Two queries."""
    events = SecurityEvent.objects.filter(user=user, ip_address__isnull=False).order_by("-at")
    ip_addresses = events.values_list("ip_address", flat=True)[:MAX_SIGN_INS]
    networks = list(dict.fromkeys([Origin().network, *(Origin(ip).network for ip in ip_addresses)]))[:MAX_PLACES]
    browsers = KnownBrowser.objects.filter(user=user).order_by("-last_used_at").values_list("digest", flat=True)
    names = [_name_of(digest) for digest in browsers[:MAX_PLACES]]
    return Places(known=names + [f"network:{network}" for network in networks], networks=networks)


def is_at(place: str, origin: Origin) -> bool:
    """Return whether a request comes from the browser that ``place_of`` has named ``place``."""
    return place in map(_name_of, _digests(origin))


def note_use(user: User, origin: Origin) -> None:
    """Record that the browser of ``origin`` is in use, at most once a day."""
    known = find(user, origin)
    if known and timezone.now() - known.last_used_at > LAST_USED_INTERVAL:
        KnownBrowser.objects.filter(pk=known.pk).update(last_used_at=timezone.now())


def exist_for(user: OuterRef) -> Exists:
    """Return the condition that a user has known browsers, for a query."""
    return Exists(KnownBrowser.objects.filter(user=user))


def note_sign_in(user: User, origin: Origin, *, by_factor: bool, is_first: bool | None = None) -> tuple[str, ...]:
    """Record that ``user`` has signed in with the browser of ``origin``; return the tokens for its cookie.

    Call under the lock on the user's row. ``by_factor``: a factor was proven. The user is notified of a new browser,
    unless it is the account's first; ``is_first`` says so, if the caller knows.
    """
    now = timezone.now()
    proven = {"factor_proven_at": now} if by_factor else {}
    if origin.browser_tokens and _of_tokens(user, origin).update(last_used_at=now, **proven):
        return origin.browser_tokens
    if is_first is None:
        is_first = not KnownBrowser.objects.filter(user=user).exists()
    tokens = _add(user, origin, last_used_at=now, **proven)
    if not is_first:
        security_log.record(user, Kind.NEW_BROWSER, origin)
    return tokens


def note_mailbox(user: User, origin: Origin) -> tuple[str, ...]:
    """Record that the browser of ``origin`` has proven the user's mailbox; return the tokens for its cookie."""
    return _note(user, origin, mailbox_proven_at=timezone.now())


def note_factor(user: User, origin: Origin, *, by_mail: bool) -> tuple[str, ...]:
    """Record that the browser of ``origin`` has proven the user's new factor; return the tokens for its cookie."""
    now = timezone.now()
    return _note(user, origin, factor_proven_at=now, **({"mailbox_proven_at": now} if by_mail else {}))


def _note(user: User, origin: Origin, **proven: datetime) -> tuple[str, ...]:
    with transaction.atomic():
        # A password reset since the proof has forgotten all browsers, so this one must not be added (SR-25).
        if not is_unchanged(user, lock_user(user)):
            return origin.browser_tokens
        if origin.browser_tokens and _of_tokens(user, origin).update(**proven):
            return origin.browser_tokens
        return _add(user, origin, **proven)


def _add(user: User, origin: Origin, **columns: datetime) -> tuple[str, ...]:
    token = secrets.token_urlsafe(32)
    KnownBrowser.objects.create(user=user, digest=digest_of(token), **columns)
    return (*origin.browser_tokens, token)[-MAX_TOKENS:]


def has_proven_mailbox(user: User, origin: Origin) -> bool:
    """Return whether the browser of ``origin`` has proven the user's mailbox or a factor before (SR-23)."""
    known = find(user, origin)
    return known is not None and (known.mailbox_proven_at or known.factor_proven_at) is not None


def forget_all(user: User) -> None:
    """Forget every browser of a user, because the password was reset."""
    KnownBrowser.objects.filter(user=user).delete()

"""Remembered browsers: they need no one-time password at sign-in for ``REMEMBERED_BROWSER_LIFETIME`` (SR-37).

The record is bound to the password, the email and the factors of its user, so a change of any of them makes it invalid.
It does not count as a proof for a step-up or for the admin pages.
"""

import secrets
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import security_log, signin
from accounts.identifiers import digest_of
from accounts.known_browsers import MAX_TOKENS
from accounts.locks import is_unchanged, lock_user
from accounts.models import Channel, User
from accounts.security_log import Kind, Origin
from mfa.models import Factor, RememberedBrowser

MODE = "remembered"  # the ``mode`` of their sessions


def _fingerprint(user: User) -> str:
    """Return a fingerprint of the password, email and factors that a record is bound to."""
    factors = Factor.objects.filter(user=user).order_by("mode").values_list("mode", "created_at")
    bound = [user.password, user.email_key, *(f"{mode} {created_at.isoformat()}" for mode, created_at in factors)]
    return salted_hmac("mfa.remembered", "\n".join(bound), algorithm="sha256").hexdigest()


def note(user: User, tokens: tuple[str, ...], origin: Origin) -> tuple[str, ...]:
    """Remember the browser of a user who has just proven a factor; return the new tokens of its cookie.

    ``tokens`` are the current ones, one per user of the browser. Each call creates a new token, so that an earlier user
    of the browser who kept a copy of the cookie does not know it. If the user's credentials were changed since the
    factor was proven, nothing is remembered (SR-25).
    """
    now = timezone.now()
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        locked = lock_user(user)
        if not is_unchanged(user, locked):
            return tokens
        user = locked
        _of_tokens(user, tokens).delete()
        RememberedBrowser.objects.create(
            digest=digest_of(token),
            user=user,
            credential_fingerprint=_fingerprint(user),
            created_at=now,
            last_used_at=now,
            expires_at=now + settings.REMEMBERED_BROWSER_LIFETIME,
            ip_address=origin.ip_address,
            agent=origin.agent[:255],
        )
        security_log.record(user, Kind.BROWSER_REMEMBERED, origin)
    return (*tokens, token)[-MAX_TOKENS:]


def _of_tokens(user: User, tokens: tuple[str, ...]) -> QuerySet[RememberedBrowser]:
    return RememberedBrowser.objects.filter(user=user, digest__in=[digest_of(token) for token in tokens])


def sign_in(user: User, tokens: tuple[str, ...], origin: Origin) -> signin.Finished | None:
    """Finish the sign-in of a user whose password was right, if this browser is remembered; else return None.

    Check the policies first: an organization may forbid remembered browsers.
    """
    with transaction.atomic(durable=True):
        user = signin.lock_checked(user)
        row = _of_tokens(user, tokens).filter(expires_at__gt=timezone.now()).first()
        if (
            row is None
            or not user.mfa_is_on
            or not constant_time_compare(row.credential_fingerprint, _fingerprint(user))
        ):
            return None
        RememberedBrowser.objects.filter(pk=row.pk).update(last_used_at=timezone.now())
        return signin.finish(user, origin, channel=Channel.BROWSER, proof=signin.Proof(MODE))


def of_user(user: User) -> QuerySet[RememberedBrowser]:
    """Return the browsers that are still remembered, last used first."""
    rows = RememberedBrowser.objects.filter(
        user=user, expires_at__gt=timezone.now(), credential_fingerprint=_fingerprint(user)
    )
    return rows.order_by("-last_used_at", "pk")


def forget(user: User, browser_id: UUID, origin: Origin) -> bool:
    """Forget one browser. Return whether it was remembered."""
    with transaction.atomic():
        deleted, _rows = RememberedBrowser.objects.filter(user=user, pk=browser_id).delete()
        if deleted:
            security_log.record(user, Kind.BROWSER_FORGOTTEN, origin)
    return bool(deleted)


def forget_all(user: User) -> None:
    """Forget every browser of a user."""
    RememberedBrowser.objects.filter(user=user).delete()

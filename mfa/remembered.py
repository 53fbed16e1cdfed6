"""Browsers that are spared the one-time password for a while (SR-37).

The record is bound to the password, the address and the factors of its user: a change of any of them makes it
worthless without anybody having to delete it. It proves nothing for a step-up and opens no administration.
"""

import secrets
from hashlib import sha256
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts import security_log, signin
from accounts.identifiers import digest_of
from accounts.models import Channel, User
from accounts.security_log import Kind, Origin
from mfa.models import Factor, RememberedBrowser

MODE = "remembered"  # what a session says in place of a mode


def _mark(user: User) -> str:
    """Name everything that a record is bound to."""
    factors = Factor.objects.filter(user=user).order_by("mode").values_list("mode", "created_at")
    bound = [signin.mark_of(user), *(f"{mode} {created_at.isoformat()}" for mode, created_at in factors)]
    return sha256("\n".join(bound).encode()).hexdigest()


def note(user: User, token: str, origin: Origin) -> str:
    """Remember the browser of a user who has just proven a factor; gives the token that its cookie is to hold.

    ``token`` is the one that it holds already, if any: several people may use one browser.
    """
    now = timezone.now()
    known = bool(token) and RememberedBrowser.objects.filter(digest=digest_of(token), expires_at__gt=now).exists()
    token = token if known else secrets.token_urlsafe(32)
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        RememberedBrowser.objects.update_or_create(
            digest=digest_of(token),
            user=user,
            defaults={
                "mark": _mark(user),
                "created_at": now,
                "last_used_at": now,
                "expires_at": now + settings.REMEMBER_BROWSER_FOR,
                "address": origin.address,
                "agent": origin.agent[:255],
            },
        )
        security_log.record(user, Kind.BROWSER_REMEMBERED, origin)
    return token


def sign_in(user: User, token: str, origin: Origin) -> bool:
    """Finish the sign-in of a user whose password was right, if this browser is remembered. Gives whether it was.

    Ask the policies first: an organization may forbid it.
    """
    with transaction.atomic(durable=True):
        user = signin.lock_checked(user)
        row = RememberedBrowser.objects.filter(
            digest=digest_of(token), user=user, expires_at__gt=timezone.now()
        ).first()
        if row is None or not user.mfa_is_on or not constant_time_compare(row.mark, _mark(user)):
            return False
        RememberedBrowser.objects.filter(pk=row.pk).update(last_used_at=timezone.now())
        signin.finish(signin.begin(user, channel=Channel.BROWSER, origin=origin), origin, mode=MODE)
    return True


def of_user(user: User) -> QuerySet[RememberedBrowser]:
    """Give the browsers that are still remembered, the one used last first."""
    rows = RememberedBrowser.objects.filter(user=user, expires_at__gt=timezone.now(), mark=_mark(user))
    return rows.order_by("-last_used_at", "pk")


def forget(user: User, browser_id: UUID, origin: Origin) -> bool:
    """Forget one browser. Gives whether it was remembered."""
    with transaction.atomic():
        gone, _rows = RememberedBrowser.objects.filter(user=user, pk=browser_id).delete()
        if gone:
            security_log.record(user, Kind.BROWSER_FORGOTTEN, origin)
    return bool(gone)


def forget_all(user: User) -> None:
    """Forget every browser of a user."""
    RememberedBrowser.objects.filter(user=user).delete()

"""Codes that the browser shows for a sign-in at the command line, where a passkey cannot be typed.

The code is the challenge's own, so it opens this sign-in alone. It counts as a proof by what proved the browser.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import Channel, User
from mfa import codes, unfinished_sign_ins
from mfa.models import Challenge

LIFETIME = timedelta(minutes=5)
MAX_WAITING = 10  # sign-ins that the page lists, the newest ones


def waiting(user: User) -> list[Challenge]:
    """Return the sign-ins at the command line that wait for a code, the newest first. One query."""
    now = timezone.now()
    rows = Challenge.objects.filter(
        user=user, purpose=Challenge.Purpose.SIGN_IN, channel=Channel.CLI, ended_at=None, expires_at__gt=now
    )
    found = list(rows.order_by("-created_at")[:MAX_WAITING])
    for challenge in found:
        challenge.user = user
    return [challenge for challenge in found if challenge.is_open(now)]


def show(user: User, challenge_id: UUID, *, proved_by: str) -> tuple[Challenge, str] | None:
    """Return a waiting sign-in and its code, which works for ``LIFETIME``; None if it no longer waits.

    ``proved_by``: the mode that has just proved the session in which the code is shown.
    """
    with transaction.atomic():
        challenge = _lock(user, challenge_id)
        if challenge is None:
            return None
        challenge.shown_by = proved_by
        challenge.shown_until = min(timezone.now() + LIFETIME, challenge.expires_at)
        challenge.save(update_fields=["shown_by", "shown_until"])
    return challenge, codes.shown_code(challenge.secret)


def end(user: User, challenge_id: UUID) -> bool:
    """End a sign-in that its user did not begin. Return whether it still waited."""
    with transaction.atomic():
        challenge = _lock(user, challenge_id)
        if challenge is None:
            return False
        unfinished_sign_ins.end(challenge)
    return True


def _lock(user: User, challenge_id: UUID) -> Challenge | None:
    """Lock a waiting sign-in of a user: the user first, as everywhere."""
    rows = Challenge.objects.select_for_update(of=("user", "self"), no_key=True).select_related("user")
    challenge = next(iter(rows.filter(pk=challenge_id, user=user, channel=Channel.CLI)), None)
    return challenge if challenge and challenge.is_open(timezone.now()) else None


def spend(challenge: Challenge, code: str) -> str:
    """Return the mode that proved the browser which shows ``code`` for this sign-in; blank if none does.

    Call under the lock on the user's row. The challenge, which ends with a right code, is what is used up.
    """
    is_shown = challenge.shown_until is not None and timezone.now() < challenge.shown_until
    return challenge.shown_by if is_shown and codes.same(codes.shown_code(challenge.secret), code) else ""

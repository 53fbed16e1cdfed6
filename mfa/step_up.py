"""The step-up: sensitive changes need a recent proof of a factor, or of the password if MFA is off (SR-22)."""

from collections.abc import Collection
from datetime import datetime

from django.conf import settings

from accounts.models import User
from accounts.security_log import Origin
from mfa import challenges, modes
from mfa.models import Challenge


def is_recent(proven_at: float | None, now: datetime) -> bool:
    """Return whether a proof at the Unix time ``proven_at`` is within ``STEP_UP_LIFETIME``."""
    return proven_at is not None and 0 <= now.timestamp() - proven_at <= settings.STEP_UP_LIFETIME.total_seconds()


def begin(user: User, accepted: Collection[str], origin: Origin) -> Challenge:
    """Create a step-up challenge in the preferred mode, or else in the first of the accepted ones. Mail nothing yet."""
    mode = user.preferred_mode if user.preferred_mode in accepted else next(iter(accepted))
    return challenges.begin(user, Challenge.Purpose.STEP_UP, mode=mode, origin=origin)


def accepted_of(user: User, weakest: str) -> list[str]:
    """Return the user's modes of at least the level of the mode ``weakest``; all if it is blank or there are none."""
    found = [mode.name for mode in modes.accepted(weakest) if mode.name in user.modes]
    return found or sorted(user.modes)


def find(challenge_id: str | None, user: User) -> Challenge | None:
    """Return this user's open step-up."""
    return challenges.find(challenge_id, Challenge.Purpose.STEP_UP, user=user)

"""The step-up: sensitive changes need a recent proof of a factor, or of the password if MFA is off (SR-22)."""

from datetime import datetime

from django.conf import settings

from accounts.models import User
from mfa import challenges
from mfa.models import Challenge


def is_recent(proven_at: float | None, now: datetime) -> bool:
    """Return whether a proof at the Unix time ``proven_at`` is within ``STEP_UP_LIFETIME``."""
    return proven_at is not None and 0 <= now.timestamp() - proven_at <= settings.STEP_UP_LIFETIME.total_seconds()


def begin(user: User) -> Challenge:
    """Create a step-up challenge in the preferred mode. Mail nothing yet."""
    return challenges.begin(user, Challenge.Purpose.STEP_UP, mode=user.preferred_mode)


def find(challenge_id: str | None, user: User) -> Challenge | None:
    """Return this user's open step-up."""
    return challenges.find(challenge_id, Challenge.Purpose.STEP_UP, user=user)

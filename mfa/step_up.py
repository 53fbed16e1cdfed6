"""Proof moments ago, by a factor or, where MFA is off, by the password: what sensitive changes need (SR-22)."""

from datetime import datetime

from django.conf import settings

from accounts.models import User
from mfa import challenges
from mfa.models import Challenge


def is_recent(proven_at: float | None, now: datetime) -> bool:
    """Return whether a proof given at the Unix time ``proven_at`` still counts."""
    return proven_at is not None and 0 <= now.timestamp() - proven_at <= settings.STEP_UP_LIFETIME.total_seconds()


def begin(user: User) -> Challenge:
    """Ask for a proof by the preferred mode. Nothing is mailed yet."""
    return challenges.begin(user, Challenge.Purpose.STEP_UP, mode=user.preferred_mode)


def find(challenge_id: str | None, user: User) -> Challenge | None:
    """Find this user's open step-up."""
    return challenges.find(challenge_id, Challenge.Purpose.STEP_UP, user=user)

"""Proof moments ago, by a factor or, where MFA is off, by the password: what sensitive changes need (SR-22)."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from django.conf import settings

from accounts.models import User
from mfa import challenges
from mfa.models import Challenge

View = TypeVar("View", bound=Callable[..., object])


def is_fresh(proven_at: float | None, now: datetime) -> bool:
    """Whether a proof given at the Unix time ``proven_at`` still counts."""
    return proven_at is not None and 0 <= now.timestamp() - proven_at <= settings.STEP_UP_LIFETIME.total_seconds()


def needs_fresh_proof(view: View) -> View:
    """Mark a view as one that is reached only with a fresh proof; the middleware sees to it."""
    view.needs_fresh_proof = True  # type: ignore[attr-defined]
    return view


def asks_for_password(view: View) -> View:
    """Mark a view that asks for the password itself: where MFA is off, nobody is asked for it twice."""
    view.asks_for_password = True  # type: ignore[attr-defined]
    return view


def begin(user: User) -> Challenge:
    """Ask for a proof by the preferred mode. Nothing is mailed yet."""
    return challenges.begin(user, Challenge.Purpose.STEP_UP, mode=user.preferred_mode)


def find(challenge_id: str | None, user: User) -> Challenge | None:
    """Find this user's open step-up."""
    return challenges.find(challenge_id, Challenge.Purpose.STEP_UP, user=user)

"""The offer of a passkey after a sign-in with a code: once in a while, and never again for those who do not want it."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

from accounts.models import User
from mfa import modes
from mfa.passkey_proofs import MODE

PAUSE = timedelta(days=30)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def is_due(user: User, *, proved_by: str) -> bool:
    """Return whether to offer a passkey to a user who has just signed in by a typed code. No query."""
    is_typed = proved_by in modes.ALL and modes.get(proved_by).is_typed
    is_wanted = user.offer_passkey_from is None or user.offer_passkey_from <= timezone.now()
    return is_typed and is_wanted and MODE not in user.modes


def put_off(user: User, *, for_good: bool) -> None:
    """Offer no passkey for a while, or never again."""
    user.offer_passkey_from = NEVER if for_good else timezone.now() + PAUSE
    User.objects.filter(pk=user.pk).update(offer_passkey_from=user.offer_passkey_from)

"""The end of everything that signs in without a new proof: of one user, or of all of them, as after a restore."""

import structlog
from django.db import transaction
from django.utils import timezone

from accounts import security_log
from accounts.housekeeping import delete_in_batches
from accounts.locks import lock_user
from accounts.models import EmailVerification, Session, Token, User
from accounts.security_log import Kind, Origin
from mfa import assisted_reset, factors
from mfa.models import AssistedReset, Challenge, RememberedBrowser

log = structlog.get_logger(__name__)


def one(user: User, origin: Origin) -> None:
    """End the sessions, tokens, remembered browsers, waiting sign-ins and the assisted reset of a user."""
    with transaction.atomic():
        user = lock_user(user)
        factors.end_everything_else(user, session_key=None)
        assisted_reset.cancel(user, origin)
        security_log.record(user, Kind.SESSIONS_ENDED, origin)


def everyone() -> dict[str, int]:
    """End the same of all users, and the codes that were mailed. Return how many rows of each.

    Codes of registrations stay: no account exists before one is typed. A restored database holds what had ended since
    its backup was taken: a stolen session, a used code, a cancelled assisted reset.
    """
    resets = AssistedReset.objects.filter(ended_at=None)
    codes = EmailVerification.objects.exclude(purpose=EmailVerification.Purpose.REGISTER)
    ended = {
        "sessions": delete_in_batches(Session.objects.all()),
        "tokens": delete_in_batches(Token.objects.all()),
        "remembered browsers": delete_in_batches(RememberedBrowser.objects.all()),
        "waiting sign-ins and enrolments": delete_in_batches(Challenge.objects.all()),
        "mailed codes": delete_in_batches(codes),
        "assisted resets": resets.update(ended_at=timezone.now()),
    }
    log.warning("sessions.all_ended", **{name.replace(" ", "_"): count for name, count in ended.items()})
    return ended

"""How many emails may be asked for on behalf of one mailbox: codes, password resets, notices (SR-17, SR-57).

The limit protects the mailbox from floods. Shares of it protect its owner: one network gets at most half, all unknown
places together get at most three quarters, and the rest is reserved for a known browser or network.

A password reset has two more limits, both in ``email_verification``: ``IP_MAILS_PER_HOUR`` for one network
(``ask_reset``) and ``MAX_MAILS`` for one verification (``resend``).
"""

from datetime import timedelta

from django.conf import settings

from accounts import throttles
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.throttles import Slot

WINDOW = timedelta(hours=1)
MAILBOX_CODES = "mailbox-code"  # codes that prove a mailbox, asked for without any proof
ONE_TIME_PASSWORDS = "one-time-password"  # asked for after a right password
NOTICES = "notice"  # that the email was entered for another account


def take(kind: str, mailbox: str, origin: Origin, *, is_known_place: bool) -> Refused | None:
    """Count an email to ``mailbox`` within the caller's transaction. If it must not be sent, return why.

    ``mailbox`` names the account or the email; ``is_known_place``: the user has signed in from there before.
    """
    return throttles.try_take(_slots(kind, mailbox, None if is_known_place else origin))


def clear(kind: str, mailbox: str) -> None:
    """Reset the counts of a mailbox, except those of single networks."""
    throttles.clear(_slots(kind, mailbox, None))
    throttles.clear([_unknown_places(kind, mailbox)])


def max_per_hour(kind: str) -> int:
    """Return how many emails of a kind one mailbox gets in an hour."""
    return int(
        settings.OTP_MAILS_PER_HOUR if kind == ONE_TIME_PASSWORDS else settings.EMAIL_VERIFICATION_MAILS_PER_HOUR
    )


def _slots(kind: str, mailbox: str, unknown: Origin | None) -> list[Slot]:
    total = max_per_hour(kind)
    slots = [throttles.in_window(kind, mailbox, count=total, window=WINDOW)]
    if unknown is not None:
        share = max(1, total // 2)
        slots.append(_unknown_places(kind, mailbox))
        slots.append(throttles.in_window(f"{kind}-network", f"{mailbox}:{unknown.network}", count=share, window=WINDOW))
    return slots


def _unknown_places(kind: str, mailbox: str) -> Slot:
    total = max_per_hour(kind)
    return throttles.in_window(f"{kind}-unknown", mailbox, count=max(1, total - total // 4), window=WINDOW)

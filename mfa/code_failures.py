"""How many wrong codes an account may have (SR-15). Call only under the lock on the user's row.

A known browser or network has a count of its own: a thief of the password, who guesses elsewhere, does not use up the
owner's tries there (SR-57). Recovery codes have 58 bits; they are counted apart and looked at even when no other code
is.
"""

from datetime import timedelta

from django.conf import settings

from accounts import mail_limits, throttles
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.throttles import Slot

PAUSE_AFTER_TOO_MANY_IN_A_ROW = timedelta(hours=24)
RECOVERY_FAILURES = 10
RECOVERY_WINDOW = timedelta(hours=1)
# What a proven mailbox gives back of the failures in a row, once a day: more would refill the guesses of its thief.
FAILURES_FORGIVEN_BY_RESET = 10
FORGIVENESS_INTERVAL = timedelta(days=1)


def slot_of(user: User, known_place: str) -> Slot:
    """Return the count of wrong one-time passwords in a known place, or in all other places together."""
    return Slot(
        f"code:{user.pk}:{known_place}",
        max_in_window=settings.OTP_FAILURES_PER_WINDOW,
        window=settings.OTP_FAILURE_WINDOW,
        max_in_row=settings.OTP_FAILURES_IN_A_ROW,
        pause=PAUSE_AFTER_TOO_MANY_IN_A_ROW,
    )


def recovery_slot_of(user: User, known_place: str, origin: Origin) -> Slot:
    """Return the count of wrong recovery codes in a known place or, elsewhere, from one network."""
    place = known_place or origin.network
    return throttles.in_window("recovery-code", f"{user.pk}:{place}", count=RECOVERY_FAILURES, window=RECOVERY_WINDOW)


def refusal_of(slot: Slot) -> Refused | None:
    """Return why no code that counts on ``slot`` is looked at now, if so."""
    return throttles.refusal_of([slot])


def left(slot: Slot) -> int:
    """Return how many more wrong codes fit on ``slot``, where none is refused yet."""
    return throttles.left(slot)


def count(slot: Slot) -> None:
    """Count a wrong code."""
    throttles.count([slot])


def forgive(user: User, known_place: str) -> None:
    """Begin the count of this place anew: a right code was given there. What was guessed elsewhere still counts."""
    throttles.clear([slot_of(user, known_place)])


def ease(user: User) -> None:
    """Give some tries and mails back to a user whose mailbox was just proven by a password reset (SR-57)."""
    mail_limits.clear(mail_limits.ONE_TIME_PASSWORDS, str(user.pk))
    if throttles.try_take([throttles.in_window("ease", str(user.pk), count=1, window=FORGIVENESS_INTERVAL)]) is None:
        throttles.ease(slot_of(user, ""), left=FAILURES_FORGIVEN_BY_RESET)

"""Limits on the wrong codes of an account (SR-15). Call only under the lock on the user's row.

The account's count is here; the count of a single challenge is in ``challenges._count_failure``.

A known browser or network has its own count, so an attacker with the password who guesses elsewhere does not use up
the user's tries there (SR-57). Recovery codes have 58 bits. They have a separate count, so the user can use one while
other codes are blocked.
"""

from datetime import datetime, timedelta

from django.utils import timezone

from accounts import mail_limits, throttles
from accounts.limits import Limit
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.throttles import Slot

LONGEST_REFUSAL = timedelta(hours=24)
WRONG_ONE_TIME_PASSWORDS = Limit(
    what="wrong one-time passwords", per="user in a known place; user in all other places", key="code",
    tries="OTP_FAILURES_PER_WINDOW", window="OTP_FAILURE_WINDOW",
    in_a_row="OTP_FAILURES_IN_A_ROW", pause=LONGEST_REFUSAL,
)  # fmt: skip
WRONG_RECOVERY_CODES = Limit(
    what="wrong recovery codes", per="user in a known place; user and client network", key="recovery-code",
    tries=10, window=timedelta(hours=1),
)  # fmt: skip
# How many failures a password reset forgives, once a day. More would give an attacker with the mailbox more guesses.
FAILURES_FORGIVEN_BY_RESET = 10
FORGIVEN_RESETS = Limit(
    what="password resets that forgive wrong codes", per="user", key="ease", tries=1, window=timedelta(days=1)
)


def slot_of(user: User, known_place: str) -> Slot:
    """Return the slot of wrong one-time passwords in a known place, or in all other places together."""
    return WRONG_ONE_TIME_PASSWORDS.of(user.pk, known_place)


def recovery_slot_of(user: User, known_place: str, origin: Origin) -> Slot:
    """Return the slot of wrong recovery codes in a known place or, elsewhere, from one network."""
    return WRONG_RECOVERY_CODES.of(user.pk, known_place or origin.network)


def leaves_recovery_codes(slot: Slot) -> bool:
    """Return whether recovery codes are still accepted while ``slot`` allows no code."""
    return slot.step != WRONG_RECOVERY_CODES.key


def refusal_of(slot: Slot) -> Refused | None:
    """Return the refusal if ``slot`` allows no code now."""
    return throttles.refusal_of([slot])


def refused_until(slot: Slot) -> datetime | None:
    """Return until when ``slot`` allows no code; None if it allows one now. One query, and nothing is counted."""
    counts = throttles.counts_of([slot])
    return counts[slot].blocked_until if slot in counts else None


def may_be_refused(user: User) -> bool:
    """Return whether codes of ``user`` can be refused now, in some place. No query."""
    at = user.codes_refused_at
    return at is not None and timezone.now() < at + LONGEST_REFUSAL


def note_refusal(user: User) -> None:
    """Note that wrong codes have just used up the tries of a place."""
    User.objects.filter(pk=user.pk).update(codes_refused_at=timezone.now())


def left(slot: Slot) -> int:
    """Return how many tries are left on ``slot``."""
    return throttles.left(slot)


def count(slot: Slot) -> bool:
    """Count a wrong code. Return whether it was the last one for now."""
    return throttles.count([slot])


def forgive(user: User, known_place: str) -> None:
    """Reset the count of one place after a correct code there. Failures elsewhere still count."""
    throttles.clear([slot_of(user, known_place)])


def ease(user: User) -> None:
    """Restore some tries and emails of a user whose mailbox a password reset has just proven (SR-57)."""
    mail_limits.clear(mail_limits.ONE_TIME_PASSWORDS, user.pk)
    if throttles.try_take([FORGIVEN_RESETS.of(user.pk)]) is None:
        throttles.ease(slot_of(user, ""), left=FAILURES_FORGIVEN_BY_RESET)

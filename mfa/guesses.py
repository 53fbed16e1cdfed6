"""How many wrong codes an account may have (SR-15). Call only under the lock on the user's row."""

from datetime import UTC, datetime, timedelta

from django.conf import settings

from accounts.models import User
from mfa.models import Guesses

PAUSE_AFTER_TOO_MANY_IN_A_ROW = timedelta(hours=24)


def blocked_until(user: User, now: datetime) -> datetime | None:
    """Give the time before which no code of this account is looked at, or None."""
    guesses = Guesses.objects.filter(user=user).first()
    if guesses is None or not guesses.recent:
        return None
    until = None
    if len(guesses.recent) >= settings.OTP_FAILURES_PER_WINDOW:
        oldest = guesses.recent[-settings.OTP_FAILURES_PER_WINDOW]
        until = datetime.fromtimestamp(oldest, UTC) + settings.OTP_FAILURE_WINDOW
    if guesses.in_a_row >= settings.OTP_FAILURES_IN_A_ROW:
        until = datetime.fromtimestamp(guesses.recent[-1], UTC) + PAUSE_AFTER_TOO_MANY_IN_A_ROW
    return until if until and now < until else None


def left(user: User, now: datetime) -> int:
    """Return how many more wrong codes this account, if it is not blocked, may have before it is."""
    guesses = Guesses.objects.filter(user=user).first()
    if guesses is None:
        return int(settings.OTP_FAILURES_PER_WINDOW)
    since = (now - settings.OTP_FAILURE_WINDOW).timestamp()
    in_window = sum(at > since for at in guesses.recent)
    in_a_row = settings.OTP_FAILURES_IN_A_ROW - guesses.in_a_row
    return int(min(settings.OTP_FAILURES_PER_WINDOW - in_window, in_a_row))


def count(user: User, now: datetime) -> None:
    """Count a wrong code."""
    guesses, _created = Guesses.objects.get_or_create(user=user)
    guesses.in_a_row += 1
    guesses.recent = [*guesses.recent, now.timestamp()][-settings.OTP_FAILURES_PER_WINDOW :]
    guesses.save()


def forgive(user: User) -> None:
    """Begin the row anew: a right code was given."""
    Guesses.objects.filter(user=user).update(in_a_row=0, recent=[])

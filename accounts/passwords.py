"""Changing a password that the user knows. A forgotten one is reset in ``email_verification``."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import security_log, sessions, throttles
from accounts.limits import Limit
from accounts.locks import lock_unchanged
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin

WRONG_CURRENT_PASSWORDS = Limit(
    what="wrong current passwords in a session", per="user", key="current",
    free="PASSWORD_FAILURES_FREE", first_delay="PASSWORD_FIRST_DELAY", longest_delay="PASSWORD_LONGEST_DELAY",
)  # fmt: skip


class WrongPassword(Refused):
    """The current password is wrong."""

    message = _("That is not your current password.")


def confirm(user: User, current: str) -> None:
    """Check the password of a signed-in user. Raises ``WrongPassword`` (counted) or ``TooManyTries``."""
    slot = WRONG_CURRENT_PASSWORDS.of(user.pk)
    throttles.take([slot])
    if not user.check_password(current):
        raise WrongPassword
    throttles.give_back([slot])


def change(user: User, password: str, origin: Origin, *, current: str, session_key: str | None) -> User:
    """Set a new password and end every other session of the user.

    Raises ``WrongPassword`` (counted) or ``TooManyTries`` (the password was not checked).
    """
    confirm(user, current)
    with transaction.atomic():
        user = lock_unchanged(user)
        user.set_password(password)
        user.save(update_fields=["password", "withdrawn_password"])
        sessions.end_others(user, keep=session_key)
        security_log.record(user, Kind.PASSWORD_CHANGED, origin)
    return user

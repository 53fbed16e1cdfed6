"""Changing a password that is known; a forgotten one is reset by a mailbox proof."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import security_log, sessions, throttles
from accounts.locks import lock_unchanged
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin


class WrongPassword(Refused):
    """The current password, asked for before a new one."""

    message = _("That is not your current password.")


def confirm(user: User, current: str) -> None:
    """Check the password of somebody signed in. Raises ``WrongPassword`` (counted) or ``TooManyTries``."""
    slot = throttles.current_password_of(user.pk)
    throttles.take([slot])
    if not user.check_password(current):
        raise WrongPassword
    throttles.give_back([slot])


def change(user: User, password: str, origin: Origin, *, current: str, session_key: str | None) -> User:
    """Set a password that its owner chose; every other session of theirs ends.

    Raises ``WrongPassword`` (counted) or ``TooManyTries`` (not looked at).
    """
    confirm(user, current)
    with transaction.atomic():
        user = lock_unchanged(user)
        user.set_password(password)
        user.save(update_fields=["password"])
        sessions.end_others(user, keep=session_key)
        security_log.record(user, Kind.PASSWORD_CHANGED, origin)
    return user

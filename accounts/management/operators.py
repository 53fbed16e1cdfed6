"""Who runs a command, as security logs name them, and finding the account that a command is about."""

import getpass

from django.core.management.base import CommandError

from accounts.models import User
from accounts.security_log import Intervention


def intervention(reason: str) -> Intervention:
    """Return who runs this command, by the name of the operating system, and why."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        name = "?"
    return Intervention(actor=f"operator {name} at the command line", reason=reason)


def find_user(identifier: str) -> User:
    """Return the account with this username or email, in any spelling. Raises ``CommandError``."""
    try:
        return User.objects.get_by_natural_key(identifier)
    except User.DoesNotExist:
        raise CommandError(f"There is no account {identifier}.") from None

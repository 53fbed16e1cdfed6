"""Clear what throttles an account: wrong passwords, wrong codes, mail limits. It is logged and mailed to the user."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.urls import reverse

from accounts.management import operators
from accounts.security_log import Origin
from mfa import unlocking
from mfa.management.wording import hold_in_words


class Command(BaseCommand):
    """For operators who have made sure that the owner of the account asks for it."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the account and the reason."""
        parser.add_argument("account", metavar="EMAIL", help="email or username of the account")
        parser.add_argument("--reason", default="Asked for by the user", help="for the security log and the mail")

    def handle(self, *_args: Any, account: str, reason: str, **_options: Any) -> None:
        """Unlock the account, and say in words what was cleared."""
        user = operators.find_user(account)
        result = unlocking.unlock(user, Origin(), by=operators.intervention(reason))
        for hold in result.cleared:
            self.stdout.write(f"Cleared {hold_in_words(hold)}")
        if result.was_blocked:
            self.stdout.write(f"{user.email} is unlocked.")
        elif result.cleared:
            self.stdout.write(f"Nothing blocked {user.email}.")
        for hold in result.remaining:
            self.stdout.write(f"Kept {hold_in_words(hold)}")
        if not result.cleared and not result.remaining:
            self.stdout.write(f"Nothing is counted against {user.email}, so nothing was changed.")
        if result.remaining:
            self.stdout.write(f"The user resets the password at {reverse('accounts:password_reset')}.")
        if not user.is_active:
            self.stdout.write("The account is disabled. Enable it in the administration.")

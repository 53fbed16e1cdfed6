"""End the sessions of one user, or of everyone: after a restore, or when a copy of the database was stolen."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.security_log import Origin
from mfa import sign_out


class Command(BaseCommand):
    """Safe while the portal serves, and to repeat."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user, or all."""
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("user", nargs="?", metavar="EMAIL", help="the username or email of one user")
        whose.add_argument("--all", action="store_true", help="of everyone: each user signs in again")

    def handle(self, *_args: Any, user: str | None, **_options: Any) -> None:
        """End them, and print what has ended."""
        if user is None:
            for name, count in sign_out.everyone().items():
                self.stdout.write(f"{count} {name} ended")
            return
        found = User.objects.by_natural_key(user).first()
        if found is None:
            raise CommandError(f"There is no user {user}.")
        sign_out.one(found, Origin())
        self.stdout.write(f"{found.email} is signed out everywhere.")

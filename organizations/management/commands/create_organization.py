"""Make an organization and give it to its first owner, who invites everybody else."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.identifiers import is_plain_line
from accounts.models import User
from accounts.security_log import Origin
from organizations import membership


class Command(BaseCommand):
    """For operators: organizations belong to people whom they know."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Ask for the name and the owner."""
        parser.add_argument("name", help="the organization's name")
        parser.add_argument("--owner", required=True, help="user name or email of a registered account")

    def handle(self, *_args: Any, name: str, owner: str, **_options: Any) -> None:
        """Make it, and print where it is."""
        name = name.strip()
        if not 0 < len(name) <= 128:
            raise CommandError("The name must have 1 to 128 characters.")
        if not is_plain_line(name):
            raise CommandError("The name must be one line without control characters.")
        try:
            user = User.objects.get_by_natural_key(owner)
        except User.DoesNotExist:
            raise CommandError(f"There is no account {owner}: its owner has to register first.") from None
        organization = membership.create(name, user, Origin())
        self.stdout.write(f"{organization.name}: {organization.pk}, owned by {user.email}")

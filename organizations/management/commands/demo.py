"""Make demo accounts and organizations, on a development machine only."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from organizations.models import Environment, Membership, Organization, Pod, Role

PASSWORD = "correct-horse-battery"
PEOPLE = (("dana", "Dana Reyes"), ("olaf", "Olaf Berg"), ("sam", "Sam Okafor"))
ORGANIZATIONS = {
    "Sample Org 1": {"dana": Role.OWNER, "olaf": Role.MEMBER, "sam": Role.MEMBER},
    "Sample Org 2": {"olaf": Role.OWNER, "dana": Role.MEMBER},
}
ENVIRONMENTS = {
    "Sample Org 1": {"clinic-staging": "pod01", "clinic-live": "pod02"},
    "Sample Org 2": {"lab-live": "pod01"},
}


class Command(BaseCommand):
    """Made on the first start only; later starts keep what is there."""

    help = __doc__

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Make the demo data unless there is an account, and print how to sign in."""
        if not settings.DEVELOPMENT:
            raise CommandError("Demo accounts have a public password: they are made only with DEVELOPMENT=1.")
        if not User.objects.exists():
            self._make()
        emails = [f"{name}@example.com" for name, _full in PEOPLE]
        known = set(User.objects.filter(email_key__in=emails).values_list("email", flat=True))
        for email in emails:
            if email in known:
                self.stdout.write(f"  {email}   password: {PASSWORD}")

    @transaction.atomic
    def _make(self) -> None:
        people = {
            name: User.objects.create_user(
                f"{name}@example.com", PASSWORD, username=name, name=full, email_verified_at=timezone.now()
            )
            for name, full in PEOPLE
        }
        pods = {name: Pod.objects.create(name=name) for name in ("pod01", "pod02")}
        for title, roles in ORGANIZATIONS.items():
            organization = Organization.objects.create(name=title)
            for name, pod in ENVIRONMENTS[title].items():
                Environment.objects.create(organization=organization, name=name, pod=pods[pod])
            for name, role in roles.items():
                Membership.objects.create(organization=organization, user=people[name], role=role)

"""After the loss of ENCRYPTION_KEYS: remove what no key opens, and mail codes to users who have no other mode left."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model

from accounts.encryption import can_unseal
from datica_account import sealed
from mfa import lost_secrets
from organizations.models import Invitation


class Command(BaseCommand):
    """Counts only, unless it is told to go on. Safe to stop and run again."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the word that makes it go on."""
        parser.add_argument("--remove", action="store_true", help="remove them; without it they are only counted")

    def handle(self, *_args: Any, remove: bool, **_options: Any) -> None:
        """Count, or remove and tell how many were."""
        if not remove:
            self._count()
            return
        for model, field in sealed.SEALED:
            count = sum(self._replace(model, field, pk) for pk in _lost(model, field))
            done = "cannot be sent again" if model is Invitation else "removed"
            self.stdout.write(f"{model.__name__}: {count} {done}")

    def _replace(self, model: type[Model], field: str, pk: Any) -> int:
        if model in lost_secrets.REPLACE:
            lost_secrets.REPLACE[model](pk)
        elif model is Invitation:  # the links that were mailed keep working
            Invitation.objects.filter(pk=pk).update(**{field: ""})
        else:
            model._default_manager.filter(pk=pk).delete()
        return 1

    def _count(self) -> None:
        found = 0
        for model, field in sealed.SEALED:
            count = sum(1 for _pk in _lost(model, field))
            self.stdout.write(f"{model.__name__}: {count} that no key opens")
            found += count
        if found:
            raise CommandError("Nothing was removed. If an old key still exists, add it to ENCRYPTION_KEYS instead.")


def _lost(model: type[Model], field: str) -> Iterator[Any]:
    """Return the primary keys of the rows whose secret no key opens."""
    return (pk for pk, secret in sealed.rows(model, field) if not can_unseal(secret))

"""Encrypt all secrets with the first of ``ENCRYPTION_KEYS``, so that the other keys can be taken away."""

from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model

from accounts.encryption import resealed
from datica_account import sealed


class Command(BaseCommand):
    """Safe while the portal serves, and to stop and run again: what is done is skipped."""

    help = __doc__

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Encrypt again, a batch at a time, and print the number of each."""
        for model, field in sealed.SEALED:
            count = sum(self._rotate(model, field, pk, secret) for pk, secret in sealed.rows(model, field))
            self.stdout.write(f"{model.__name__}: {count} encrypted anew")

    def _rotate(self, model: type[Model], field: str, pk: Any, secret: str) -> int:
        try:
            fresh = resealed(secret)
        except InvalidToken:
            raise CommandError(
                f"{model.__name__} {pk} fits none of ENCRYPTION_KEYS: a key was taken away too early. Add it again."
            ) from None
        if fresh is None:
            return 0
        # Only if it has not changed meanwhile: what was changed is encrypted with the first key anyway.
        return model._default_manager.filter(pk=pk, **{field: secret}).update(**{field: fresh})

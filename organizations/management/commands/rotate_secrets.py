"""Encrypt all secrets with the first of ``ENCRYPTION_KEYS``, so that the other keys can be taken away."""

from collections.abc import Iterator
from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model

from accounts.encryption import resealed
from accounts.models import EmailVerification
from mfa.models import AssistedReset, Challenge, Factor, RecoveryCodes
from organizations.models import Invitation

SEALED: tuple[tuple[type[Model], str], ...] = (
    (Factor, "sealed_secret"),
    (RecoveryCodes, "sealed_secret"),
    (Challenge, "sealed_secret"),
    (AssistedReset, "sealed_secret"),
    (EmailVerification, "sealed_code"),
    (Invitation, "sealed_code"),
)
BATCH = 1000


class Command(BaseCommand):
    """Safe while the portal serves, and to stop and run again: what is done is skipped."""

    help = __doc__

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Encrypt anew, a batch at a time, and tell how many were."""
        for model, field in SEALED:
            count = sum(self._rotate(model, field, pk, sealed) for pk, sealed in _rows(model, field))
            self.stdout.write(f"{model.__name__}: {count} encrypted anew")

    def _rotate(self, model: type[Model], field: str, pk: Any, sealed: str) -> int:
        try:
            fresh = resealed(sealed)
        except InvalidToken:
            raise CommandError(
                f"{model.__name__} {pk} fits none of ENCRYPTION_KEYS: a key was taken away too early. Add it again."
            ) from None
        if fresh is None:
            return 0
        # Only if nobody has changed it meanwhile: what was changed is encrypted with the first key anyway.
        return model._default_manager.filter(pk=pk, **{field: sealed}).update(**{field: fresh})


def _rows(model: type[Model], field: str) -> Iterator[tuple[Any, str]]:
    """Give the rows with a secret, by primary key and a batch a query, so that no transaction stays open."""
    rows = model._default_manager.exclude(**{field: ""}).order_by("pk").values_list("pk", field)
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1][0])[:BATCH])

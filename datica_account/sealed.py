"""Everything that ``ENCRYPTION_KEYS`` encrypt (SR-18)."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model

from accounts.models import DataExport, DeletedAccount, EmailVerification
from mfa.models import AssistedReset, Challenge, Factor, RecoveryCodes
from organizations.models import Invitation

SEALED: tuple[tuple[type[Model], str], ...] = (
    (Factor, "sealed_secret"),
    (RecoveryCodes, "sealed_secret"),
    (Challenge, "sealed_secret"),
    (AssistedReset, "sealed_secret"),
    (EmailVerification, "sealed_code"),
    (DataExport, "sealed_key"),
    (DeletedAccount, "sealed_email"),
    (Invitation, "sealed_code"),
)
BATCH = 1000


def rows(model: type[Model], field: str) -> Iterator[tuple[Any, str]]:
    """Yield the key and the sealed secret of each row, a batch a query, so that no transaction stays open."""
    found = model._default_manager.exclude(**{field: ""}).order_by("pk").values_list("pk", field)
    batch = list(found[:BATCH])
    while batch:
        yield from batch
        batch = list(found.filter(pk__gt=batch[-1][0])[:BATCH])

"""The way back after the loss of ``ENCRYPTION_KEYS``: what none of the keys opens is removed.

A user whose authenticator is lost gets codes by email in its place, never no second step: the mailbox is proven, and
the password alone opens nothing.
"""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import Model

from accounts import security_log
from accounts.locks import lock_user
from accounts.models import User
from accounts.security_log import Kind, Origin
from mfa import factors, recovery
from mfa.models import Factor, RecoveryCodes
from mfa.modes import Enrolled


def replace_factor(pk: Any) -> None:
    """Remove a factor whose secret is lost. Its user gets codes by email if no other factor is left."""
    with transaction.atomic():
        factor = Factor.objects.select_related("user").get(pk=pk)
        user = lock_user(factor.user)
        factor.delete()
        security_log.record(user, Kind.MODE_DISABLED, Origin(), mode=factor.mode)
        left = factors.enabled(user)
        if not left:
            factors.add(user, "email", Enrolled(), prefer=True, origin=Origin())
        else:
            factors.prefer_another(user, factor.mode, left)
        factors.end_everything_else(user, session_key=None)


def forget_recovery_codes(user_id: Any) -> None:
    """Remove recovery codes that can no longer be checked."""
    with transaction.atomic():
        recovery.forget(lock_user(User(pk=user_id)))


# What is replaced for its user. Other secrets only wait for an answer: without it they are worth nothing.
REPLACE: dict[type[Model], Callable[[Any], None]] = {Factor: replace_factor, RecoveryCodes: forget_recovery_codes}

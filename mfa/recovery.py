"""Recovery codes, for signing in when phone and mailbox are lost (SR-26)."""

import secrets
from hmac import compare_digest, digest

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import security_log
from accounts.identifiers import UNAMBIGUOUS, in_groups, new_code
from accounts.locks import lock_unchanged
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin
from mfa.code_refusals import CodeIsOver, CodeWaits
from mfa.models import RecoveryCodes

MODE = "recovery code"  # the ``mode`` of sessions and events in which one was used
CODES = 10
LENGTH = 12  # of 29 characters: 58 bits
LOW_RECOVERY_CODES = 3
MAX_OVER = 5 * CODES  # codes that no longer work and are recognised, for a message


class MfaIsOff(Refused):
    """The user has MFA off, so there is nothing to recover."""

    message = _("Enable multi-factor authentication first. Recovery codes are for when you cannot use your modes.")


class NotOneOfThem(Refused):
    """The typed code is not one of the new codes."""

    message = _("That is not one of the codes that we showed you last. Copy a code from where you saved them.")


def _digest(key: bytes, code: str) -> str:
    return digest(key, code.encode(), "sha256").hex()


def normal(typed: str) -> str | None:
    """Return a code in the form in which it was created; None if the text cannot be a recovery code."""
    code = "".join(typed.split()).replace("-", "").upper()
    return code if len(code) == LENGTH and set(code) <= set(UNAMBIGUOUS) else None


def make(user: User) -> list[str]:
    """Create ten codes and return them in groups, to be shown once.

    ``confirm`` makes them replace the earlier codes. Until then the earlier ones work, so that no user is left with
    codes that were never saved. Raises ``MfaIsOff``.
    """
    codes = [new_code(LENGTH) for _index in range(CODES)]
    with transaction.atomic():
        user = lock_unchanged(user)
        if not user.mfa_is_on:
            raise MfaIsOff
        row = RecoveryCodes.objects.filter(user=user).first() or RecoveryCodes(user=user)
        if not row.sealed_secret:
            row.secret = secrets.token_bytes(32)
        row.waiting = [_digest(row.secret, code) for code in codes]
        row.save()
    return [in_groups(code, 4) for code in codes]


def confirm(user: User, typed: str, origin: Origin) -> None:
    """Make the newest codes valid. ``typed`` is one of them and stays unused. Raises ``NotOneOfThem``."""
    code = normal(typed)
    with transaction.atomic():
        user = lock_unchanged(user)
        row = RecoveryCodes.objects.filter(user=user).first()
        if row is None or code is None or not _is_in(row.waiting, _digest(row.secret, code)):
            raise NotOneOfThem
        row.over = [*row.over, *row.unused][-MAX_OVER:]
        row.unused, row.waiting, row.made_at = row.waiting, [], timezone.now()
        row.save()
        security_log.record(user, Kind.RECOVERY_CODES_MADE, origin)


def spend(user: User, code: str, origin: Origin) -> bool:
    """Spend a code. Return whether it was valid. Call under the lock on the user's row.

    Raises ``CodeWaits`` or ``CodeIsOver``.
    """
    row = RecoveryCodes.objects.filter(user=user).first()
    if row is None:
        return False
    digest = _digest(row.secret, code)
    if _is_in(row.waiting, digest):
        raise CodeWaits
    if _is_in(row.over, digest):
        raise CodeIsOver
    if not _is_in(row.unused, digest):
        return False
    row.unused = [other for other in row.unused if other != digest]
    row.over = [*row.over, digest][-MAX_OVER:]
    row.save(update_fields=["unused", "over"])
    security_log.record(user, Kind.RECOVERY_CODE_USED, origin)
    if len(row.unused) <= LOW_RECOVERY_CODES:
        security_log.record(user, Kind.FEW_RECOVERY_CODES, origin)
    return True


def are_waiting(user: User) -> bool:
    """Return whether codes were made of which none was typed back yet. One query."""
    return any(RecoveryCodes.objects.filter(user=user).values_list("waiting", flat=True))


def left(user: User) -> int:
    """Return how many unused codes a user has. One query."""
    rows = RecoveryCodes.objects.filter(user=user).values_list("unused", flat=True)
    return sum(map(len, rows))


def forget(user: User) -> None:
    """Delete a user's codes, because MFA is off."""
    RecoveryCodes.objects.filter(user=user).delete()


def _is_in(digests: list[str], digest: str) -> bool:
    # Compare every one, so that the time taken does not reveal which one matched.
    matches = [compare_digest(digest, other) for other in digests]
    return any(matches)

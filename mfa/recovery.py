"""Recovery codes: the way in when phone and mailbox are lost (SR-26)."""

import secrets
from hmac import compare_digest, digest

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import security_log
from accounts.identifiers import UNMISTAKABLE, in_groups, new_code
from accounts.locks import lock_unchanged
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin
from mfa.models import RecoveryCodes

MODE = "recovery code"  # what a session or an event says in place of a mode
CODES = 10
LENGTH = 12  # of 29 signs: 58 bits
LOW_RECOVERY_CODES = 3


class MfaIsOff(Refused):
    """There is nothing to recover."""

    message = _("Please enable multi-factor authentication first: recovery codes are for when you lose it.")


class NotOneOfThem(Refused):
    """What was typed back is none of the codes that were shown."""

    message = _("That is none of the codes that were just shown. Copy one of them from where you have saved them.")


def _digest(key: bytes, code: str) -> str:
    return digest(key, code.encode(), "sha256").hex()


def normal(typed: str) -> str | None:
    """Bring a code into the form in which it was made; None if it cannot be one."""
    code = "".join(typed.split()).replace("-", "").upper()
    return code if len(code) == LENGTH and set(code) <= set(UNMISTAKABLE) else None


def make(user: User) -> list[str]:
    """Make ten codes and give them, grouped as people read them: the only time that they are known.

    They count, in place of all earlier ones, when one of them was typed back (``confirm``): until then the earlier
    ones work, so that nobody is left with codes that were never saved. Raises ``MfaIsOff``.
    """
    made = [new_code(LENGTH) for _code in range(CODES)]
    with transaction.atomic():
        user = lock_unchanged(user)
        if not user.mfa_is_on:
            raise MfaIsOff
        row = RecoveryCodes.objects.filter(user=user).first() or RecoveryCodes(user=user)
        if not row.sealed_secret:
            row.secret = secrets.token_bytes(32)
        row.waiting = [_digest(row.secret, code) for code in made]
        row.save()
    return [in_groups(code, 4) for code in made]


def confirm(user: User, typed: str, origin: Origin) -> None:
    """Let the codes made last count; ``typed`` is one of them and stays good. Raises ``NotOneOfThem``."""
    code = normal(typed)
    with transaction.atomic():
        user = lock_unchanged(user)
        row = RecoveryCodes.objects.filter(user=user).first()
        if row is None or code is None or not _is_in(row.waiting, _digest(row.secret, code)):
            raise NotOneOfThem
        row.unused, row.waiting, row.made_at = row.waiting, [], timezone.now()
        row.save()
        security_log.record(user, Kind.RECOVERY_CODES_MADE, origin)


def spend(user: User, code: str, origin: Origin) -> bool:
    """Use a code up; gives whether it was one. Call under the lock on the user's row."""
    row = RecoveryCodes.objects.filter(user=user).first()
    if row is None:
        return False
    digest = _digest(row.secret, code)
    if not _is_in(row.unused, digest):
        return False
    row.unused = [other for other in row.unused if other != digest]
    row.save(update_fields=["unused"])
    security_log.record(user, Kind.RECOVERY_CODE_USED, origin)
    if len(row.unused) <= LOW_RECOVERY_CODES:
        security_log.record(user, Kind.FEW_RECOVERY_CODES, origin)
    return True


def left(user: User) -> int:
    """Give how many codes a user has. One query."""
    row = RecoveryCodes.objects.filter(user=user).only("unused").first()
    return len(row.unused) if row else 0


def forget(user: User) -> None:
    """Delete a user's codes: MFA is off."""
    RecoveryCodes.objects.filter(user=user).delete()


def _is_in(digests: list[str], digest: str) -> bool:
    # Every one is compared: the time taken must not tell which one it was.
    return any([compare_digest(digest, other) for other in digests])  # noqa: C419

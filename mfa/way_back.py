"""What a user can lose, and which way back works then; and how the user's factors are doing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import combinations

from django.db.models import Count, JSONField, OuterRef, Q, Subquery
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from mfa import codes, modes
from mfa.models import Factor, RecoveryCodes

RECOVERY_CODE = _("a recovery code")
ANOTHER_PASSKEY = _("another of your passkeys")


@dataclass(frozen=True)
class FactorHealth:
    """How an enabled mode is doing."""

    mode: str
    last_used_at: datetime | None
    seconds_ahead: int = 0  # of the phone's clock, negative if it is behind
    kept: int = 0  # how many passkeys it has
    synced: int = 0  # how many of them are on other devices too

    @property
    def seconds_behind(self) -> int:
        """Return by how much the phone's clock is behind."""
        return -self.seconds_ahead

    @property
    def survives_a_loss(self) -> bool:
        """Return whether losing one device leaves something of this mode."""
        return self.kept > 1 or self.synced > 0


@dataclass(frozen=True)
class Loss:
    """Things that are lost together, and the ways to sign in that are left."""

    things: tuple[str | Promise, ...]
    ways: tuple[str | Promise, ...]


@dataclass(frozen=True)
class Health:
    """The factors of a user, the recovery codes, and what their losses would mean."""

    factors: dict[str, FactorHealth]
    recovery_codes_left: int
    recovery_codes_wait: bool  # were made, and none of them was typed back yet
    mail_arrives: bool

    @cached_property
    def losses(self) -> list[Loss]:
        """Return each thing that can be lost, then each two of them."""
        names = [mode.name for mode in modes.ALL.values() if mode.name in self.factors]
        return [self._losing(lost) for size in (1, 2) for lost in combinations(names, size)]

    @property
    def is_at_risk(self) -> bool:
        """Return whether there is a loss after which the user cannot sign in."""
        return any(not loss.ways for loss in self.losses)

    def _losing(self, lost: Iterable[str]) -> Loss:
        ways = [modes.get(name).way_in_words for name in self.factors if name not in lost and self._works(name)]
        ways += [ANOTHER_PASSKEY for name in lost if self.factors[name].survives_a_loss]
        if self.recovery_codes_left:
            ways.append(RECOVERY_CODE)
        return Loss(tuple(modes.get(name).loss_in_words for name in lost), tuple(ways))

    def _works(self, name: str) -> bool:
        return self.mail_arrives or not modes.get(name).is_mailed


def health_of(user: User) -> Health:
    """Return how the user's factors are doing. One query, none if MFA is off."""
    if not user.mfa_is_on:
        return Health({}, 0, recovery_codes_wait=False, mail_arrives=user.mailbox_failed_at is None)
    recovery_codes = RecoveryCodes.objects.filter(user=OuterRef("user"))
    rows = Factor.objects.filter(user=user).annotate(
        kept=Count("passkeys"),
        synced=Count("passkeys", filter=Q(passkeys__is_synced=True)),
        unused=Subquery(recovery_codes.values("unused")[:1], output_field=JSONField()),
        waiting=Subquery(recovery_codes.values("waiting")[:1], output_field=JSONField()),
    )
    found = sorted(rows, key=lambda row: row.created_at)
    factors = {
        row.mode: FactorHealth(row.mode, row.last_used_at, row.drift * codes.STEP_SECONDS, row.kept, row.synced)
        for row in found
    }
    left, wait = (len(found[0].unused or []), bool(found[0].waiting)) if found else (0, False)
    return Health(factors, left, recovery_codes_wait=wait, mail_arrives=user.mailbox_failed_at is None)

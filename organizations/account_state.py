"""The state of an account as support needs it: one object for ``manage.py user`` and for the administration.

It holds no secret. The number of queries does not depend on what the account has.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts import security_log
from accounts.models import SecurityEvent, Session, Token, User
from mfa import assisted_reset, factors, passkeys, recovery, unlocking
from mfa.models import AssistedReset, Factor, Passkey
from mfa.unlocking import Hold
from organizations import membership
from organizations.standings import Standing, standings_of

MAX_COUNTED = 1000  # sessions and tokens
EVENTS = 10


@dataclass(frozen=True)
class AccountState:
    """What support needs to know of an account."""

    user: User
    factors: list[Factor]
    passkeys: list[Passkey]
    recovery_codes: int
    sessions: int
    tokens: int
    holds: list[Hold]
    standings: list[Standing]
    has_more_organizations: bool
    reset: AssistedReset | None
    events: list[SecurityEvent]

    @property
    def is_anywhere_signed_in(self) -> bool:
        """Whether there is a session or a token."""
        return bool(self.sessions or self.tokens)

    @property
    def blocked(self) -> list[Hold]:
        """What refuses a try now."""
        return [hold for hold in self.holds if hold.is_blocked]


def of(user: User, *, now: datetime) -> AccountState:
    """Return the state of an account. Eleven queries."""
    memberships = membership.first_of(user)
    sessions = Session.objects.filter(user=user, expire_date__gt=now)
    tokens = Token.objects.filter(user=user, expires_at__gt=now)
    return AccountState(
        user=user,
        factors=factors.enabled(user),
        passkeys=list(passkeys.of_user(user)),
        recovery_codes=recovery.left(user),
        sessions=sessions[:MAX_COUNTED].count(),
        tokens=tokens[:MAX_COUNTED].count(),
        holds=unlocking.holds_on(user),
        standings=standings_of(user, memberships.rows),
        has_more_organizations=not memberships.are_all,
        reset=assisted_reset.open_of(user),
        events=list(security_log.of_user(user)[:EVENTS]),
    )

"""The state of an account as support needs it: one object for ``manage.py user`` and for the administration.

It holds no secret. The number of queries does not depend on what the account has.
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from accounts import security_log
from accounts.models import SecurityEvent, Session, Token, User
from mfa import assisted_reset, factors, passkeys, recovery, unlocking
from mfa.models import AssistedReset, Factor, Passkey
from mfa.unlocking import Hold
from organizations import membership, policy
from organizations.models import Membership

MAX_COUNTED = 1000  # sessions and tokens
EVENTS = 10
MINUTE = "%Y-%m-%d %H:%M"


@dataclass(frozen=True)
class Standing:
    """A membership, and whether its organization's policy is met."""

    membership: Membership
    is_met: bool
    is_blocked: bool

    @property
    def in_words(self) -> str:
        """How the member stands to the policy."""
        organization, exempt_until = self.membership.organization, self.membership.exempt_until
        if self.is_blocked:
            return _("blocked until MFA meets the policy")
        if exempt_until and self.membership.is_exempt:
            return _("exempt from the policy until %(at)s UTC") % {"at": f"{exempt_until:{MINUTE}}"}
        if organization.mfa_required:
            return _("meets the policy")
        if organization.mfa_required_at:
            at = {"at": f"{organization.mfa_required_at:{MINUTE}}"}
            if self.is_met:
                return _("MFA required from %(at)s UTC: met") % at
            return _("MFA required from %(at)s UTC: not met yet") % at
        return _("MFA not required")


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
    for row in memberships.rows:
        row.user = user
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
        standings=[Standing(row, policy.is_met(row), policy.is_blocked(row)) for row in memberships.rows],
        has_more_organizations=not memberships.are_all,
        reset=assisted_reset.open_of(user),
        events=list(security_log.of_user(user)[:EVENTS]),
    )

"""How a user stands to the policies of the organizations that they belong to."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.models import User
from organizations import policy
from organizations.models import Membership

MINUTE = "%Y-%m-%d %H:%M"


@dataclass(frozen=True)
class Standing:
    """A membership, and whether its organization's policy is met."""

    membership: Membership
    is_met: bool  # also by an exemption
    is_blocked: bool

    @property
    def in_words(self) -> str:
        """How the member stands to the policy, for support: with times in UTC."""
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


def standings_of(user: User, memberships: Iterable[Membership]) -> list[Standing]:
    """Return how a user stands in these of their organizations. The user's modes must be up to date. No query."""
    found = []
    for row in memberships:
        row.user = user
        found.append(Standing(row, policy.is_met(row), policy.is_blocked(row)))
    return found

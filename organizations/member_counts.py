"""Counts of the members who meet a policy. The work does not grow with the size of the organization."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from organizations import accepted_modes
from organizations.models import MemberCount, Membership, Organization


@dataclass(frozen=True)
class Counts:
    """Numbers of members who meet the organization's policy, whether or not it is in force."""

    by_state: dict[str, int]  # all members, by their modes
    lacking: dict[str, int]  # members who do not meet the policy and are not exempt, by their modes
    exempt: int  # members who do not meet the policy but are exempt
    exempt_by_state: dict[str, int] = field(default_factory=dict)  # all exempt members, by their modes

    @property
    def missing(self) -> int:
        """Return the number of members who do not meet the policy and are not exempt."""
        return sum(self.lacking.values())

    @property
    def ready(self) -> int:
        """Return the number of members who meet the policy."""
        return sum(self.by_state.values()) - self.missing - self.exempt

    @property
    def asked(self) -> int:
        """Return the number of members to whom the policy applies: all but the exempt."""
        return self.ready + self.missing

    def missing_of(self, accepted: str) -> int:
        """Return the number of members who would not meet the policy if it accepted these modes, without the exempt."""
        lacking = [state for state in self.by_state if not accepted_modes.are_met_by(accepted, state.split())]
        return sum(self.by_state[state] - self.exempt_by_state.get(state, 0) for state in lacking)

    @property
    def percent(self) -> int:
        """Return the share of ``asked`` who are ready, in percent, rounded down: 100 means all."""
        return 100 * self.ready // self.asked if self.asked else 100


def of_many(organizations: Collection[Organization]) -> dict[UUID, Counts]:
    """Return the counts of several organizations by id. One query, which reads counters and an index of exemptions."""
    exempt_members = (
        Membership.objects.filter(
            organization=OuterRef("organization"), modes=OuterRef("modes"), exempt_until__gt=timezone.now()
        )
        .order_by()
        .values("organization")
        .annotate(number=Count("pk"))
        .values("number")
    )
    by_id = {organization.pk: organization for organization in organizations}
    found = {pk: Counts({}, {}, 0) for pk in by_id}
    rows = MemberCount.objects.filter(organization__in=by_id, count__gt=0).annotate(
        exempt=Coalesce(Subquery(exempt_members), 0)
    )
    for pk, modes, count, exempt in rows.values_list("organization", "modes", "count", "exempt"):
        mine = found[pk]
        mine.by_state[modes] = count
        mine.exempt_by_state[modes] = exempt
        if not by_id[pk].is_met_by(modes.split()):
            mine.lacking[modes] = count - exempt
            found[pk] = replace(mine, exempt=mine.exempt + exempt)
    return found


def of(organization: Organization) -> Counts:
    """Return the counts of one organization. One query."""
    return of_many([organization])[organization.pk]

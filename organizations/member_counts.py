"""How many members meet a policy. Bounded work, whatever the size of the organization."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from organizations.models import MemberCount, Membership, Organization


@dataclass(frozen=True)
class Counts:
    """How many members of an organization meet its policy, be it in force or not."""

    by_state: dict[str, int]  # all of them, by the modes that they have
    lacking: dict[str, int]  # those who do not meet it and are not exempt, likewise
    exempt: int  # who do not meet it and are spared

    @property
    def missing(self) -> int:
        """How many do not meet it."""
        return sum(self.lacking.values())

    @property
    def ready(self) -> int:
        """How many meet it."""
        return sum(self.by_state.values()) - self.missing - self.exempt

    @property
    def asked(self) -> int:
        """Of how many it asks something: all but the exempt."""
        return self.ready + self.missing

    @property
    def percent(self) -> int:
        """How many of a hundred are ready, never rounded up to all."""
        return 100 * self.ready // self.asked if self.asked else 100


def of_many(organizations: Collection[Organization]) -> dict[UUID, Counts]:
    """Count the members of organizations. One query: a few rows of counters, and an index of the exempt for each."""
    spared = (
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
        spared=Coalesce(Subquery(spared), 0)
    )
    for pk, modes, count, exempt in rows.values_list("organization", "modes", "count", "spared"):
        mine = found[pk]
        mine.by_state[modes] = count
        if not by_id[pk].is_met_by(modes.split()):
            mine.lacking[modes] = count - exempt
            found[pk] = replace(mine, exempt=mine.exempt + exempt)
    return found


def of(organization: Organization) -> Counts:
    """Count the members of an organization. One query."""
    return of_many([organization])[organization.pk]

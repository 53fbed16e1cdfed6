"""The state of an organization as support needs it. The number of queries does not depend on its size."""

from dataclasses import dataclass

from organizations import environments, member_counts, membership
from organizations.member_counts import Counts
from organizations.models import Environment, Membership, Organization, OrganizationEvent, Reminder, Role

MAX_SHOWN = 25  # owners and environments
REMINDERS = 5
EVENTS = 10


@dataclass(frozen=True)
class OrganizationState:
    """What support needs to know of an organization."""

    organization: Organization
    owners: list[Membership]
    has_more_owners: bool
    counts: Counts
    environments: list[Environment]
    has_more_environments: bool
    reminders: list[Reminder]
    events: list[OrganizationEvent]

    @property
    def members(self) -> int:
        """The number of all members."""
        return sum(self.counts.by_state.values())


def of(organization: Organization) -> OrganizationState:
    """Return the state of an organization. Five queries."""
    owners = Membership.objects.filter(organization=organization, role=Role.OWNER).select_related("user")
    first_owners = list(owners.order_by("email_key")[: MAX_SHOWN + 1])
    first_environments = list(environments.of_organization(organization)[: MAX_SHOWN + 1])
    reminders = Reminder.objects.filter(organization=organization).order_by("-created_at")
    return OrganizationState(
        organization=organization,
        owners=first_owners[:MAX_SHOWN],
        has_more_owners=len(first_owners) > MAX_SHOWN,
        counts=member_counts.of(organization),
        environments=first_environments[:MAX_SHOWN],
        has_more_environments=len(first_environments) > MAX_SHOWN,
        reminders=list(reminders[:REMINDERS]),
        events=list(membership.events(organization)[:EVENTS]),
    )

"""Lists of an organization's members, ordered by email, a page or a batch at a time."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from mfa import modes
from mfa.models import Factor
from organizations.models import Membership, Organization, Role


def states() -> dict[str, str]:
    """Return the values of ``Membership.modes`` by their names in URLs. Each value is one range of an index."""
    return {state or "off": state for state in modes.combinations()}


BATCH = 1000


def first_of(rows: QuerySet[Membership], states: Collection[str], number: int) -> QuerySet[Membership]:
    """Return the first ``number`` of ``rows`` in each of the given states, ordered by email.

    Each state is read from its own range of an index. If 3 of 100,000 members do not meet the policy, only their rows
    are read.
    """
    found = Q(pk__in=[])
    for state in states:
        found |= Q(pk__in=rows.filter(modes=state).order_by("email_key").values("pk")[:number])
    return Membership.objects.filter(found).order_by("email_key")


def states_lacking(organization: Organization) -> list[str]:
    """Return the values of ``Membership.modes`` that do not meet the policy."""
    return [state for state in modes.combinations() if not organization.is_met_by(state.split())]


@dataclass(frozen=True)
class Page:
    """A page of members, found by email and not by offset: the last page costs as much as the first."""

    rows: list[Membership]
    next: str  # the email key after which the next page begins; blank on the last page
    is_first: bool


def page(organization: Organization, *, state: str = "all", starts: str = "", after: str = "", limit: int) -> Page:
    """Return a page of the members whose email key begins with ``starts`` and comes after ``after``.

    ``state`` is a name of ``states``, "missing" (members who do not meet the policy), "exempt" or a role. Any other
    value selects all members.
    """
    rows: QuerySet[Membership] = Membership.objects.filter(organization=organization)
    if starts:
        rows = rows.filter(email_key__startswith=starts)
    if after:
        rows = rows.filter(email_key__gt=after)
    if state == "exempt":
        rows = rows.filter(exempt_until__gt=timezone.now())
    elif state == "missing":
        rows = first_of(rows.exclude(exempt_until__gt=timezone.now()), states_lacking(organization), limit + 1)
    elif state in Role.values:
        rows = rows.filter(role=state)
    elif state in states():
        rows = rows.filter(modes=states()[state])
    found = list(with_proofs(rows).order_by("email_key")[: limit + 1])
    following = found[limit - 1].email_key if len(found) > limit else ""
    return Page(rows=found[:limit], next=following, is_first=not after)


def find(organization: Organization, user_id: UUID) -> Membership | None:
    """Return one member as ``page`` loads them, or None."""
    return with_proofs(Membership.objects.filter(organization=organization, user=user_id)).first()


def in_batches(organization: Organization) -> Iterator[list[Membership]]:
    """Yield all members with their users, ordered by email, in batches, so that memory use stays constant."""
    batch = page(organization, limit=BATCH)
    yield batch.rows
    while batch.next:
        batch = page(organization, after=batch.next, limit=BATCH)
        yield batch.rows


def verified_at(row: Membership) -> datetime | None:
    """Return when the member last proved a factor, as ``with_proofs`` has annotated it."""
    at: datetime | None = vars(row)["verified_at"]
    return at


def with_proofs(rows: QuerySet[Membership]) -> QuerySet[Membership]:
    """Load the users of memberships, and annotate ``verified_at``: when the user last proved a factor."""
    proven = Factor.objects.filter(user=OuterRef("user"), last_used_at__isnull=False).order_by("-last_used_at")
    rows = rows.annotate(verified_at=Subquery(proven.values("last_used_at")[:1]))
    return rows.select_related("user").defer("user__password")

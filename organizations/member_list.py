"""Lists of an organization's members, a page or a batch at a time."""

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts.identifiers import key_of
from mfa import modes
from mfa.models import Factor
from organizations.keyset import Page, cut
from organizations.models import Membership, Organization, Role


def states() -> dict[str, str]:
    """Return the values of ``Membership.modes`` by their names in URLs. Each value is one range of an index."""
    return {state or "off": state for state in modes.combinations()}


BATCH = 1000
MAX_WORDS = 5
MAX_CHOSEN = 100  # members named one by one in a request
SHORTEST_PART = 3  # letters, as in PostgreSQL's trigrams
# Orders of the list by their names in URLs: the column whose values lead from page to page, and whether it descends.
SORTS = {"email": ("email_key", False), "-email": ("email_key", True), "newest": ("pk", True), "oldest": ("pk", False)}


def first_of(
    rows: QuerySet[Membership], states: Collection[str], number: int, order: str = "email_key"
) -> QuerySet[Membership]:
    """Return the first ``number`` of ``rows`` in each of the given states, ordered by email if not told otherwise.

    Each state is read from its own range of an index. If 3 of 100,000 members do not meet the policy, only their rows
    are read.
    """
    found = Q(pk__in=[])
    for state in states:
        found |= Q(pk__in=rows.filter(modes=state).order_by(order).values("pk")[:number])
    return Membership.objects.filter(found).order_by(order)


def states_lacking(organization: Organization) -> list[str]:
    """Return the values of ``Membership.modes`` that do not meet the policy."""
    return [state for state in modes.combinations() if not organization.is_met_by(state.split())]


def matching(organization: Organization, *, state: str = "all", search: str = "") -> QuerySet[Membership]:
    """Return the members in a state whose email or name has each word of ``search``, as some part of it.

    A word of one or two letters is in nearly every address, so it finds only beginnings.

    ``state`` is a name of ``states``, "missing" (members who do not meet the policy), "exempt" or a role. Any other
    value selects all members.
    """
    rows: QuerySet[Membership] = Membership.objects.filter(organization=organization)
    for word in key_of(search).split()[:MAX_WORDS]:
        rows = rows.filter(_has(word))
    if state == "exempt":
        return rows.filter(exempt_until__gt=timezone.now())
    if state == "missing":
        return rows.filter(modes__in=states_lacking(organization)).exclude(exempt_until__gt=timezone.now())
    if state in Role.values:
        return rows.filter(role=state)
    return rows.filter(modes=states()[state]) if state in states() else rows


def _has(word: str) -> Q:
    if len(word) < SHORTEST_PART:
        return Q(email_key__startswith=word) | Q(search_key__contains=f" {word}")
    return Q(search_key__contains=word)


def page(
    organization: Organization,
    *,
    state: str = "all",
    search: str = "",
    sort: str = "email",
    after: str = "",
    before: str = "",
    limit: int,
) -> Page[Membership]:
    """Return a page of the members who match ``state`` and ``search`` (see ``matching``).

    It begins after the value ``after`` of the column of ``sort``, or ends before the value ``before``.
    """
    column, is_descending = SORTS.get(sort, SORTS["email"])
    edge = _edge(before or after, column)
    is_backwards = edge is not None and bool(before)
    is_descending ^= is_backwards
    order = f"-{column}" if is_descending else column
    rows = matching(organization, state=state, search=search)
    if edge is not None:
        rows = rows.filter(**{f"{column}__{'lt' if is_descending else 'gt'}": edge})
    if state == "missing":
        rows = first_of(rows, states_lacking(organization), limit + 1, order)
    found = list(with_proofs(rows).order_by(order)[: limit + 1])
    value_of = partial(_value, column=column)
    return cut(found, limit, has_edge=edge is not None, is_backwards=is_backwards, place_of=value_of)


def _edge(text: str, column: str) -> str | int | None:
    """Return the value from which a page begins or ends; None if the text from the URL is not one."""
    if column == "pk":
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    return text or None


def _value(row: Membership, column: str) -> str:
    return str(getattr(row, column))


def find(organization: Organization, user_id: UUID) -> Membership | None:
    """Return one member as ``page`` loads them, or None."""
    return with_proofs(Membership.objects.filter(organization=organization, user=user_id)).first()


def in_batches(organization: Organization, *, state: str = "all", search: str = "") -> Iterator[list[Membership]]:
    """Yield the members who match, see ``matching``, with their users, by email, in batches: memory stays constant."""
    batch = page(organization, state=state, search=search, limit=BATCH)
    yield batch.rows
    while batch.next:
        batch = page(organization, state=state, search=search, after=batch.next, limit=BATCH)
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

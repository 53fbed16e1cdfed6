"""The organization's security log, newest first: a page at a time, limited to kinds, persons and days."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime

from accounts.identifiers import key_of
from organizations import member_list
from organizations.keyset import Page, cut
from organizations.member_list import SHORTEST_PART
from organizations.models import Membership, Organization, OrganizationEvent

BATCH = 1000
MAX_NAMED = 10


@dataclass(frozen=True)
class Filter:
    """What to show of a log. What is blank or None does not limit it. Days are in UTC, the last one included."""

    kind: str = ""
    person: str = ""  # some part of an email: of who acted, or of whom the event is about
    first_day: date | None = None
    last_day: date | None = None

    def __bool__(self) -> bool:
        return self != Filter()


def matching(organization: Organization, chosen: Filter) -> QuerySet[OrganizationEvent]:
    """Return the events that a filter selects, newest first."""
    rows = OrganizationEvent.objects.filter(organization=organization)
    if chosen.kind:
        rows = rows.filter(kind=chosen.kind)
    if chosen.first_day:
        rows = rows.filter(at__gte=_start_of(chosen.first_day))
    if chosen.last_day:
        rows = rows.filter(at__lt=_start_of(chosen.last_day + timedelta(days=1)))
    if chosen.person:
        rows = rows.filter(_concerns(organization, chosen.person))
    return rows.order_by("-at", "-pk")


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _concerns(organization: Organization, person: str) -> Q:
    """Return the condition that an event is by or about a person.

    The log keeps the addresses of the time. For the address of a present member it finds, too, what the account did
    under an earlier one, and by a name the first ``MAX_NAMED`` present members who have it. A part of one or two
    letters is in nearly every address, so it finds only beginnings.
    """
    lookup = "icontains" if len(person) >= SHORTEST_PART else "istartswith"
    found = Q(**{f"actor_email__{lookup}": person}) | Q(**{f"subject__{lookup}": person})
    rows = Membership.objects.filter(organization=organization, email_key=key_of(person))
    if "@" in person and (member := rows.values_list("user_id", flat=True).first()):
        found |= Q(actor=member) | Q(member=member)
    for member, email in _named(organization, person):
        found |= Q(actor=member) | Q(member=member) | Q(subject__istartswith=email)
    return found


def _named(organization: Organization, name: str) -> list[tuple[UUID, str]]:
    """Return the first present members whose email or name has each of these words, as the list of members finds."""
    if "@" in name or len(name) < SHORTEST_PART:
        return []
    rows = member_list.matching(organization, search=name).order_by("email_key")
    return list(rows.values_list("user_id", "user__email")[:MAX_NAMED])


def page(
    organization: Organization, chosen: Filter, *, after: str = "", before: str = "", limit: int
) -> Page[OrganizationEvent]:
    """Return a page of the events that a filter selects: those older than ``after``, or newer than ``before``."""
    edge = _read(before or after)
    is_backwards = edge is not None and bool(before)
    rows = matching(organization, chosen)
    if is_backwards:
        rows = rows.order_by("at", "pk")
    if edge is not None:
        at, pk = edge
        # The first condition is a range of the index by time.
        if is_backwards:
            rows = rows.filter(at__gte=at).exclude(at=at, pk__lte=pk)
        else:
            rows = rows.filter(at__lte=at).exclude(at=at, pk__gte=pk)
    found = list(rows[: limit + 1])
    return cut(found, limit, has_edge=edge is not None, is_backwards=is_backwards, place_of=_write)


def _write(event: OrganizationEvent) -> str:
    return f"{event.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{event.pk}"


def _read(place: str) -> tuple[datetime, int] | None:
    """Return the place in a URL; None if it is not one."""
    text, _separator, pk = place.partition("_")
    if not (pk.isascii() and pk.isdecimal() and len(pk) < 19):
        return None
    try:
        at = parse_datetime(text)
    except ValueError:
        return None
    return (at, int(pk)) if at and at.tzinfo else None


def all_of(organization: Organization, chosen: Filter) -> Iterator[OrganizationEvent]:
    """Yield all events that a filter selects, newest first."""
    return matching(organization, chosen).iterator(chunk_size=BATCH)

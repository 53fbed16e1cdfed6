"""How many members have what, and whom a policy would stop: bounded work, whatever the size of the organization."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts.models import Mode, Session, Token, User
from mfa.models import Factor
from organizations.models import MemberCount, Membership, Organization

# What members can have: no mode, or some. Each is one range of an index.
STATES = ("", Mode.AUTHENTICATOR.value, f"{Mode.AUTHENTICATOR} {Mode.EMAIL}", Mode.EMAIL.value)
# How addresses name them: nobody can read a blank.
STATE_NAMED = {state or "off": state for state in STATES}
LOOKED_AT = 300  # members whose sessions are counted: more would make large organizations slow
EXAMPLES = 5


@dataclass(frozen=True)
class Impact:
    """Whom the policy of an organization stops, or would stop."""

    members: int
    ready: int  # meet it
    missing: int  # do not
    examples: list[str]  # the first who do not, by address
    exempt: int
    signed_in: int  # of the first who do not: signed in right now, in a browser or at the command line

    @property
    def percent(self) -> int:
        """How many of a hundred members are ready, never rounded up to all."""
        return 100 * self.ready // self.members if self.members else 100

    @property
    def is_partial(self) -> bool:
        """Whether more could be signed in than were looked at."""
        return self.missing > LOOKED_AT

    @property
    def more(self) -> int:
        """How many are missing beyond the examples."""
        return self.missing - len(self.examples)


def counts(organization: Organization) -> dict[str, int]:
    """Give how many members have which modes. One query."""
    return dict(MemberCount.objects.filter(organization=organization, count__gt=0).values_list("modes", "count"))


def impact(organization: Organization) -> Impact:
    """Tell whom the policy stops or would stop. Three queries of bounded work, rarely four."""
    exempt = (
        Membership.objects.filter(organization=OuterRef("organization"), exempt_until__gt=timezone.now())
        .order_by()
        .values("organization")
        .annotate(number=Count("pk"))
        .values("number")
    )
    rows = list(
        MemberCount.objects.filter(organization=organization, count__gt=0)
        .annotate(exempt=Subquery(exempt))
        .values_list("modes", "count", "exempt")
    )
    missing = {modes: count for modes, count, _exempt in rows if not organization.is_met_by(modes.split())}
    members = sum(count for _modes, count, _exempt in rows)
    states = sorted(missing)
    return Impact(
        members=members,
        ready=members - sum(missing.values()),
        missing=sum(missing.values()),
        examples=_examples(organization, states),
        exempt=next((exempt or 0 for _modes, _count, exempt in rows), 0),
        signed_in=_signed_in(organization, states) if missing else 0,
    )


def _examples(organization: Organization, states: list[str]) -> list[str]:
    """Give the addresses of the first members of some states; each is read from its own part of the index."""
    found: list[tuple[str, str]] = []
    for state in states:
        rows = Membership.objects.filter(organization=organization, modes=state).order_by("email_key")
        found += rows.values_list("email_key", "user__email")[:EXAMPLES]
    return [email for _key, email in sorted(found)[:EXAMPLES]]


def _signed_in(organization: Organization, states: list[str]) -> int:
    """Count, of the first members of each state, those who have a session or a token right now. One query."""
    now, looked_at = timezone.now(), Q()
    for state in states:
        rows = Membership.objects.filter(organization=organization, modes=state).order_by("email_key")
        looked_at |= Q(user__in=rows.values("user")[:LOOKED_AT])
    browsers = Session.objects.filter(looked_at, expire_date__gt=now).values("user")
    return browsers.union(Token.objects.filter(looked_at, expires_at__gt=now).values("user")).count()


@dataclass(frozen=True)
class Page:
    """A part of a list that is cut by address, so that the last page costs as much as the first."""

    rows: list[Membership]
    next: str  # the address after which the next page begins; blank on the last
    is_first: bool


def members(
    organization: Organization, *, state: str | None = None, starts: str = "", after: str = "", limit: int
) -> Page:
    """Give members by address: those of one ``state``, whose address begins with ``starts``, after one address."""
    rows: QuerySet[Membership] = Membership.objects.filter(organization=organization)
    if state is not None:
        rows = rows.filter(modes=state)
    if starts:
        rows = rows.filter(email_key__startswith=starts)
    if after:
        rows = rows.filter(email_key__gt=after)
    found = list(rows.select_related("user").defer("user__password").order_by("email_key")[: limit + 1])
    following = found[limit - 1].email_key if len(found) > limit else ""
    return Page(rows=found[:limit], next=following, is_first=not after)


def last_verified(users: Collection[User]) -> dict[UUID, datetime]:
    """Give when each of ``users`` last proved a factor. One query."""
    latest: dict[UUID, datetime] = {}
    proven = Factor.objects.filter(user__in=users, last_used_at__isnull=False)
    for user_id, at in proven.values_list("user_id", "last_used_at"):
        latest[user_id] = max(at, latest.get(user_id, at))
    return latest

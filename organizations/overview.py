"""How many members have what, and whom a policy would stop: bounded work, whatever the size of the organization."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Mode, Session, Token, User
from mfa.models import Factor
from organizations.models import Door, Invitation, MemberCount, Membership, Organization, Role

# What members can have: no mode, or some. Each is one range of an index.
STATES = ("", Mode.AUTHENTICATOR.value, f"{Mode.AUTHENTICATOR} {Mode.EMAIL}", Mode.EMAIL.value)
# How addresses name them: nobody can read a blank.
STATE_NAMED = {state or "off": state for state in STATES}
LOOKED_AT = 300  # members whose sessions are counted: more would make large organizations slow
EXAMPLES = 5
UNVERIFIED = "unverified"
EXAMPLE = "example"
BATCH = 1000


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


def counts_of(organizations: Collection[Organization]) -> dict[UUID, Counts]:
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


def counts(organization: Organization) -> Counts:
    """Count the members of an organization. One query."""
    return counts_of([organization])[organization.pk]


@dataclass(frozen=True)
class Missing:
    """How many do not meet the policy of an organization, and who."""

    counts: Counts
    examples: list[str]  # the first of them, by address

    @property
    def more(self) -> int:
        """How many there are beyond the examples."""
        return self.counts.missing - len(self.examples)


@dataclass(frozen=True)
class Impact(Missing):
    """Whom the policy of an organization stops, or would stop, and what each of them will meet."""

    # Of the first of the missing, as many as are looked at:
    signed_in: list[str]  # who has a session or token right now
    browsers: int
    command_lines: int
    keys: int
    unverified: int  # who has to prove the mailbox before a mode can be enabled
    # Invitations that can be accepted only with MFA, as many as are looked at.
    invitations: int

    @property
    def is_partial(self) -> bool:
        """Whether more could be signed in than were looked at."""
        return self.counts.missing > LOOKED_AT

    @property
    def has_more_invitations(self) -> bool:
        """Whether there could be more than were looked at."""
        return self.invitations > LOOKED_AT

    @property
    def without_any(self) -> int:
        """How many have no mode at all."""
        return self.counts.lacking.get("", 0)

    @property
    def with_another(self) -> int:
        """How many have a mode, but none that counts."""
        return self.counts.missing - self.without_any


def missing(organization: Organization) -> Missing:
    """Tell who does not meet the policy. Two queries of bounded work, whatever the size."""
    found = counts(organization)
    return Missing(counts=found, examples=_examples(organization) if found.missing else [])


def impact(organization: Organization) -> Impact:
    """Tell whom the policy stops or would stop. Three queries of bounded work, whatever the size."""
    found = counts(organization)
    told = _told_of_the_first(organization) if found.missing else {}
    open_invitations = Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)
    return Impact(
        counts=found,
        examples=sorted(told.get(EXAMPLE, ()), key=str.lower)[:EXAMPLES],
        signed_in=sorted({email for door in Door for email in told.get(door, ())}),
        browsers=len(told.get(Door.BROWSER, ())),
        command_lines=len(told.get(Door.CLI, ())),
        keys=len(told.get(Door.KEY, ())),
        unverified=len(told.get(UNVERIFIED, ())),
        invitations=open_invitations.filter(expires_at__gt=timezone.now())[: LOOKED_AT + 1].count(),
    )


def _first_of(rows: QuerySet[Membership], states: Collection[str], number: int) -> QuerySet[Membership]:
    """Give the first ``number`` of ``rows`` in each of some states, by address.

    Each state is read from its own range of an index: of a hundred thousand members perhaps three lack something, and
    nobody else's row is looked at.
    """
    found = Q(pk__in=[])
    for state in states:
        found |= Q(pk__in=rows.filter(modes=state).order_by("email_key").values("pk")[:number])
    return Membership.objects.filter(found).order_by("email_key")


def states_lacking(organization: Organization) -> list[str]:
    """Give the states that do not meet the policy."""
    return [state for state in STATES if not organization.is_met_by(state.split())]


def _missing(organization: Organization, number: int) -> QuerySet[Membership]:
    """Give the first members, of each state, who do not meet the policy and are not exempt, by address."""
    rows = Membership.objects.filter(organization=organization).exclude(exempt_until__gt=timezone.now())
    return _first_of(rows, states_lacking(organization), number)


def _examples(organization: Organization) -> list[str]:
    return list(_missing(organization, EXAMPLES).values_list("user__email", flat=True)[:EXAMPLES])


def _told_of_the_first(organization: Organization) -> dict[str, set[str]]:
    """Give the first who do not meet the policy, as ``EXAMPLE``, by each door the signed in, and the ``UNVERIFIED``.

    By address; one query, which begins with those people: no index holds all sessions that are open.
    """
    now, first = timezone.now(), _missing(organization, LOOKED_AT).order_by().values("user")
    browsers = Session.objects.filter(user__in=first, expire_date__gt=now)
    tokens = Token.objects.filter(user__in=first, expires_at__gt=now)
    door = Case(When(by_key=True, then=Value(Door.KEY.value)), default=Value(Door.CLI.value))
    unverified = User.objects.filter(pk__in=first, email_verified_at=None)
    examples = _missing(organization, EXAMPLES).order_by()
    rows = browsers.values_list("user__email", Value(Door.BROWSER.value)).union(
        tokens.values_list("user__email", door),
        unverified.values_list("email", Value(UNVERIFIED)),
        examples.values_list("user__email", Value(EXAMPLE)),
    )
    told: dict[str, set[str]] = {}
    for email, what in rows:
        told.setdefault(what, set()).add(email)
    return told


@dataclass(frozen=True)
class Page:
    """A part of a list that is cut by address, so that the last page costs as much as the first."""

    rows: list[Membership]
    next: str  # the address after which the next page begins; blank on the last
    is_first: bool


def members(organization: Organization, *, state: str = "all", starts: str = "", after: str = "", limit: int) -> Page:
    """Give members by address whose address begins with ``starts``, after one address.

    ``state`` is a name of ``STATE_NAMED``, "missing" (who do not meet the policy), "exempt", a role, or else all.
    """
    rows: QuerySet[Membership] = Membership.objects.filter(organization=organization)
    if starts:
        rows = rows.filter(email_key__startswith=starts)
    if after:
        rows = rows.filter(email_key__gt=after)
    if state == "exempt":
        rows = rows.filter(exempt_until__gt=timezone.now())
    elif state == "missing":
        rows = _first_of(rows.exclude(exempt_until__gt=timezone.now()), states_lacking(organization), limit + 1)
    elif state in Role.values:
        rows = rows.filter(role=state)
    elif state in STATE_NAMED:
        rows = rows.filter(modes=STATE_NAMED[state])
    found = list(with_proofs(rows).order_by("email_key")[: limit + 1])
    following = found[limit - 1].email_key if len(found) > limit else ""
    return Page(rows=found[:limit], next=following, is_first=not after)


def member(organization: Organization, user_id: UUID) -> Membership | None:
    """Give one member as lists show them, or None."""
    return with_proofs(Membership.objects.filter(organization=organization, user=user_id)).first()


def everybody(organization: Organization) -> Iterator[list[Membership]]:
    """Give all members by address, with their users, a batch at a time: no size is too large."""
    page = members(organization, limit=BATCH)
    yield page.rows
    while page.next:
        page = members(organization, after=page.next, limit=BATCH)
        yield page.rows


def with_proofs(rows: QuerySet[Membership]) -> QuerySet[Membership]:
    """Load the users of memberships, and with each, as ``verified_at``, when it last proved a factor."""
    proven = Factor.objects.filter(user=OuterRef("user"), last_used_at__isnull=False).order_by("-last_used_at")
    rows = rows.annotate(verified_at=Subquery(proven.values("last_used_at")[:1]))
    return rows.select_related("user").defer("user__password")

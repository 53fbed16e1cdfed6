"""Whom a policy blocks, or would block. Bounded work, whatever the size of the organization."""

from dataclasses import dataclass

from django.db.models import Case, QuerySet, Value, When
from django.utils import timezone

from accounts.models import Channel, Session, Token, User
from organizations import member_counts, member_list
from organizations.models import Invitation, Membership, Organization

MAX_EXAMINED = 300  # members whose sessions are counted: more would make large organizations slow
EXAMPLES = 5
UNVERIFIED = "unverified"
EXAMPLE = "example"


@dataclass(frozen=True)
class Missing:
    """How many do not meet the policy of an organization, and who."""

    counts: member_counts.Counts
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
        return self.counts.missing > MAX_EXAMINED

    @property
    def has_more_invitations(self) -> bool:
        """Whether there could be more than were looked at."""
        return self.invitations > MAX_EXAMINED

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
    found = member_counts.of(organization)
    return Missing(counts=found, examples=_examples(organization) if found.missing else [])


def of(organization: Organization) -> Impact:
    """Tell whom the policy stops or would stop. Three queries of bounded work, whatever the size."""
    found = member_counts.of(organization)
    told = _told_of_the_first(organization) if found.missing else {}
    open_invitations = Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)
    return Impact(
        counts=found,
        examples=sorted(told.get(EXAMPLE, ()), key=str.lower)[:EXAMPLES],
        signed_in=sorted({email for channel in Channel for email in told.get(channel, ())}),
        browsers=len(told.get(Channel.BROWSER, ())),
        command_lines=len(told.get(Channel.CLI, ())),
        keys=len(told.get(Channel.KEY, ())),
        unverified=len(told.get(UNVERIFIED, ())),
        invitations=open_invitations.filter(expires_at__gt=timezone.now())[: MAX_EXAMINED + 1].count(),
    )


def _missing(organization: Organization, number: int) -> QuerySet[Membership]:
    """Give the first members, of each state, who do not meet the policy and are not exempt, by address."""
    rows = Membership.objects.filter(organization=organization).exclude(exempt_until__gt=timezone.now())
    return member_list.first_of(rows, member_list.states_lacking(organization), number)


def _examples(organization: Organization) -> list[str]:
    return list(_missing(organization, EXAMPLES).values_list("user__email", flat=True)[:EXAMPLES])


def _told_of_the_first(organization: Organization) -> dict[str, set[str]]:
    """Give the first who do not meet the policy, as ``EXAMPLE``, by each door the signed in, and the ``UNVERIFIED``.

    By address; one query, which begins with those people: no index holds all sessions that are open.
    """
    now, first = timezone.now(), _missing(organization, MAX_EXAMINED).order_by().values("user")
    browsers = Session.objects.filter(user__in=first, expire_date__gt=now)
    tokens = Token.objects.filter(user__in=first, expires_at__gt=now)
    channel = Case(When(by_key=True, then=Value(Channel.KEY.value)), default=Value(Channel.CLI.value))
    unverified = User.objects.filter(pk__in=first, email_verified_at=None)
    examples = _missing(organization, EXAMPLES).order_by()
    rows = browsers.values_list("user__email", Value(Channel.BROWSER.value)).union(
        tokens.values_list("user__email", channel),
        unverified.values_list("email", Value(UNVERIFIED)),
        examples.values_list("user__email", Value(EXAMPLE)),
    )
    told: dict[str, set[str]] = {}
    for email, what in rows:
        told.setdefault(what, set()).add(email)
    return told

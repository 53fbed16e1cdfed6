"""The members whom a policy blocks or would block. The work does not grow with the size of the organization."""

from dataclasses import dataclass

from django.db.models import Case, QuerySet, Value, When
from django.utils import timezone

from accounts.models import Channel, Session, Token, User
from organizations import member_counts, member_list
from organizations.models import Invitation, Membership, Organization

MAX_EXAMINED = 300  # members whose sessions are counted: more would make large organizations slow
EXAMPLES = 5
UNVERIFIED = "unverified"
NOT_REACHED = "not reached"
EXAMPLE = "example"


@dataclass(frozen=True)
class Missing:
    """The members who do not meet an organization's policy: their number and a few examples."""

    counts: member_counts.Counts
    examples: list[str]  # emails of the first of them, in order

    @property
    def more(self) -> int:
        """Return the number of missing members beyond the examples."""
        return self.counts.missing - len(self.examples)


@dataclass(frozen=True)
class Impact(Missing):
    """The members whom the policy blocks or would block, and what blocks each of them."""

    # About the first ``MAX_EXAMINED`` missing members:
    signed_in: list[str]  # emails of those with a session or token
    browsers: int
    command_lines: int
    keys: int
    unverified: int  # members who must verify their email before they can enable a mode
    not_reached: int  # members to whom mail does not arrive, so that no reminder is sent
    # Open invitations, which can be accepted only with MFA; at most ``MAX_EXAMINED`` + 1.
    invitations: int

    @property
    def is_partial(self) -> bool:
        """Return whether only some of the missing members were examined, so that more may be signed in."""
        return self.counts.missing > MAX_EXAMINED

    @property
    def has_more_invitations(self) -> bool:
        """Return whether there are more open invitations than were counted."""
        return self.invitations > MAX_EXAMINED

    @property
    def without_any(self) -> int:
        """Return the number of missing members without any mode."""
        return self.counts.lacking.get("", 0)

    @property
    def with_another(self) -> int:
        """Return the number of missing members who have a mode, but none that is accepted."""
        return self.counts.missing - self.without_any


def missing(organization: Organization) -> Missing:
    """Return the members who do not meet the policy. Two queries of bounded work."""
    found = member_counts.of(organization)
    return Missing(counts=found, examples=_examples(organization) if found.missing else [])


def of(organization: Organization) -> Impact:
    """Return the members whom the policy blocks or would block. Three queries of bounded work."""
    found = member_counts.of(organization)
    emails = _emails_of_the_first(organization) if found.missing else {}
    open_invitations = Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)
    return Impact(
        counts=found,
        examples=sorted(emails.get(EXAMPLE, ()), key=str.lower)[:EXAMPLES],
        signed_in=sorted({email for channel in Channel for email in emails.get(channel, ())}),
        browsers=len(emails.get(Channel.BROWSER, ())),
        command_lines=len(emails.get(Channel.CLI, ())),
        keys=len(emails.get(Channel.KEY, ())),
        unverified=len(emails.get(UNVERIFIED, ())),
        not_reached=len(emails.get(NOT_REACHED, ())),
        invitations=open_invitations.filter(expires_at__gt=timezone.now())[: MAX_EXAMINED + 1].count(),
    )


def _missing(organization: Organization, number: int) -> QuerySet[Membership]:
    """Return the first members in each state who do not meet the policy and are not exempt, ordered by email."""
    rows = Membership.objects.filter(organization=organization).exclude(exempt_until__gt=timezone.now())
    return member_list.first_of(rows, member_list.states_lacking(organization), number)


def _examples(organization: Organization) -> list[str]:
    return list(_missing(organization, EXAMPLES).values_list("user__email", flat=True)[:EXAMPLES])


def _emails_of_the_first(organization: Organization) -> dict[str, set[str]]:
    """Return emails of the first members who do not meet the policy, by what is known of them.

    The keys are ``EXAMPLE``, ``UNVERIFIED``, ``NOT_REACHED`` and, for members who are signed in, their ``Channel``. One
    query. It begins with the members, because no index finds the open sessions of an organization.
    """
    now, first = timezone.now(), _missing(organization, MAX_EXAMINED).order_by().values("user")
    browsers = Session.objects.filter(user__in=first, expire_date__gt=now)
    tokens = Token.objects.filter(user__in=first, expires_at__gt=now)
    channel = Case(When(by_key=True, then=Value(Channel.KEY.value)), default=Value(Channel.CLI.value))
    unverified = User.objects.filter(pk__in=first, email_verified_at=None)
    not_reached = User.objects.filter(pk__in=first, mailbox_failed_at__isnull=False)
    examples = _missing(organization, EXAMPLES).order_by()
    rows = browsers.values_list("user__email", Value(Channel.BROWSER.value)).union(
        tokens.values_list("user__email", channel),
        unverified.values_list("email", Value(UNVERIFIED)),
        not_reached.values_list("email", Value(NOT_REACHED)),
        examples.values_list("user__email", Value(EXAMPLE)),
    )
    emails: dict[str, set[str]] = {}
    for email, what in rows:
        emails.setdefault(what, set()).add(email)
    return emails

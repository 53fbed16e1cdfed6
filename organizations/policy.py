"""MFA policy: worked out from memberships on each request, never stored on the user (docs/decisions.md#f)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from mfa import modes
from organizations import accepted_modes, membership, rehearsal
from organizations.accepted_modes import Verdict
from organizations.membership import Memberships
from organizations.models import (
    DELETED_ACCOUNT,
    EVERYBODY,
    EventKind,
    Membership,
    Organization,
    OrganizationEvent,
    Role,
)


class MfaMissing(Refused):
    """The organization requires MFA, and the member has no mode that it accepts (SR-41)."""

    message = _("%(name)s requires multi-factor authentication, and your account does not meet this yet.")

    def __init__(self, organization: Organization) -> None:
        super().__init__()
        self.organization = organization

    @property
    def text(self) -> str:
        """Return the message with the organization's name and the modes that it accepts."""
        text = str(self.message) % {"name": self.organization.name}
        if self.organization.accepted_modes:
            text += " " + gettext("Accepted modes: %(modes)s.") % {"modes": self.organization.accepted_modes_label}
        return text


class ModeNotProved(Refused):
    """The account has a mode that the organization accepts, but this token was proved by another one (SR-60)."""

    message = _("%(name)s requires %(modes)s, but you signed in with something else.")

    def __init__(self, organization: Organization, user: User) -> None:
        super().__init__()
        self.organization, self.user = organization, user

    @property
    def text(self) -> str:
        """Return the message with the organization's name and the modes that it accepts."""
        modes_in_words = accepted_modes.in_words(self.organization.accepted_modes)
        return str(self.message) % {"name": self.organization.name, "modes": modes_in_words}

    @property
    def owned(self) -> list[str]:
        """The names of the user's modes that the organization accepts, the lowest level first."""
        return accepted_modes.owned(self.organization.accepted_modes, self.user.modes)


def authorize(
    user: User,
    organization_id: UUID,
    *,
    proved: frozenset[str],
    channel: Channel,
    origin: Origin,
    roles: Collection[Role] = EVERYBODY,
) -> Membership:
    """Return the membership of ``user`` in an organization, if its policy is met and its role is in ``roles``.

    One query. ``proved`` are the modes that proved the token. If a rehearsed policy would block the user, record it
    with ``channel`` and ``origin``.

    Raise ``OrganizationNotFound``, ``MfaMissing``, ``ModeNotProved`` or ``RoleMissing``.
    """
    found = membership.find(user, organization_id)
    if found is None:
        raise membership.OrganizationNotFound
    found.user = user
    if is_blocked(found):
        raise MfaMissing(found.organization)
    if found.organization.mfa_required and _verdict(found, proved) is Verdict.NOT_PROVED:
        raise ModeNotProved(found.organization, user)
    if found.organization.is_rehearsing and not is_met(found):
        rehearsal.note(found.organization, user, channel, origin)
    if found.role not in roles:
        raise membership.RoleMissing
    return found


def is_blocked(member: Membership) -> bool:
    """Return whether the policy blocks this member now. The modes of ``member.user`` must be up to date."""
    return member.organization.mfa_required and not is_met(member)


def is_met(member: Membership) -> bool:
    """Return whether a member owns what the policy, in force or not, asks for.

    The modes of ``member.user`` must be up to date.
    """
    return _verdict(member, None) is Verdict.MET


def _verdict(member: Membership, proved: Collection[str] | None) -> Verdict:
    if member.is_exempt:
        return Verdict.MET
    return accepted_modes.verdict(member.organization.accepted_modes, member.user.modes, proved)


def _with_policies(user: User, among: Memberships | None = None) -> list[Membership]:
    """Return the user's memberships in organizations with a policy or a rehearsal, ordered by name.

    One query, or none if ``among`` holds all memberships. What is decided under a lock reads them anew.
    """
    if among and among.are_all:
        found = [row for row in among.rows if row.organization.mfa_required_at or row.organization.is_rehearsing]
    else:
        now = timezone.now()
        has_policy = Q(organization__mfa_required_at__isnull=False) | Q(organization__rehearsal_until__gt=now)
        found = list(membership.of_user(user).filter(has_policy))
    for row in found:
        row.user = user
    return found


def requiring(user: User, among: Memberships | None = None) -> list[Organization]:
    """Return the organizations that require MFA of this user now, met or not, ordered by name.

    ``among``: memberships that the request has read already.
    """
    rows = _with_policies(user, among)
    return [row.organization for row in rows if row.organization.mfa_required and not row.is_exempt]


@dataclass(frozen=True)
class Policies:
    """The policies of a user's organizations, and what they would do if the user had only some modes."""

    rows: list[Membership]

    def blocking(self, enabled: frozenset[str]) -> list[Organization]:
        """Return the organizations that would block the user now, ordered by name."""
        required = [row.organization for row in self.rows if row.organization.mfa_required and not row.is_exempt]
        return [organization for organization in required if not organization.is_met_by(enabled)]

    def announcing(self, enabled: frozenset[str]) -> list[Organization]:
        """Return the organizations that would block the user from a date on, nearest date first."""
        return _announcing(self.rows, enabled)


def policies_of(user: User) -> Policies:
    """Return the policies of a user's organizations. One query."""
    return Policies(_with_policies(user))


@dataclass(frozen=True)
class PolicyStatus:
    """The organizations whose policy a user does not meet."""

    blocking: list[Organization]  # block the user now
    asking: list[Organization]  # ask this session or token for a proof by a mode that the user has (SR-60)
    announcing: list[Organization]  # will block the user from a date on, nearest date first
    rehearsing: list[Organization]  # would block the user if the rehearsed policy were in force


NOTHING = PolicyStatus([], [], [], [])


def status_of(
    user: User, *, proved: frozenset[str] | None, read: Callable[[], Memberships] | None = None
) -> PolicyStatus:
    """Return which policies a user does not meet. No query if every policy is met, whatever it accepts.

    ``proved`` are the modes that proved the session or token, None without one. ``read`` returns the memberships that
    the request reads for all its purposes.
    """
    if accepted_modes.all_are_met_by(user.modes, proved):
        return NOTHING
    rows = _with_policies(user, read() if read else None)
    unmet = [row.organization for row in rows if not is_met(row)]
    return PolicyStatus(
        blocking=[organization for organization in unmet if organization.mfa_required],
        asking=[
            row.organization
            for row in rows
            if row.organization.mfa_required and _verdict(row, proved) is Verdict.NOT_PROVED
        ],
        announcing=_announcing(rows, user.modes),
        rehearsing=[organization for organization in unmet if organization.is_rehearsing],
    )


def _announcing(rows: list[Membership], enabled: Collection[str]) -> list[Organization]:
    """Return the organizations that will block the user with these modes from a date on, unless exempt then."""
    coming = [
        (row.organization.mfa_required_at, row.organization)
        for row in rows
        if row.organization.mfa_required_at and row.organization.mfa_announced and not _will_be_met(row, enabled)
    ]
    return [organization for _at, organization in sorted(coming, key=lambda pair: pair[0])]


def _will_be_met(row: Membership, enabled: Collection[str]) -> bool:
    at = row.organization.mfa_required_at
    return row.organization.is_met_by(enabled) or (at is not None and row.is_exempt_at(at))


def blocking(user: User) -> list[Organization]:
    """Return the organizations that block this user now, ordered by name."""
    return status_of(user, proved=None).blocking


def forbidding_remembering(user: User) -> list[Organization]:
    """Return the user's organizations that forbid remembered browsers (SR-37), ordered by name. One query."""
    return list(Organization.objects.filter(memberships__user=user, remembering_forbidden=True).order_by("name", "pk"))


def remembering_is_forbidden(user: OuterRef) -> Exists:
    """Return the condition that an organization of a user forbids remembered browsers (SR-37), for a query."""
    return Exists(Organization.objects.filter(memberships__user=user, remembering_forbidden=True))


def who_required(organizations: Collection[Organization]) -> dict[UUID, str]:
    """Return the email of the owner who last required MFA, by organization, from the security logs. One query.

    An owner whose account was deleted is left out.
    """
    kinds = (EventKind.MFA_REQUIRED, EventKind.MFA_ANNOUNCED)
    events = OrganizationEvent.objects.filter(organization__in=organizations, kind__in=kinds).order_by("at", "pk")
    found = dict(events.values_list("organization", "actor_email"))
    return {organization: email for organization, email in found.items() if email != DELETED_ACCOUNT}


@dataclass(frozen=True)
class CombinedPolicy:
    """The combined requirements of all organizations of a user."""

    required: bool
    accepted_modes: str  # the strictest of the organizations' accepted modes
    remembering_forbidden: bool


def combined(user: User) -> CombinedPolicy:
    """Return the combined requirements of a user's organizations now. One query."""
    now, names = timezone.now(), [mode.name for mode in modes.accepted(accepted_modes.ANY)]
    holds = Q(organization__mfa_required_at__lte=now) & ~Q(exempt_until__gt=now)
    numbers = Membership.objects.filter(user=user).aggregate(
        required=Count("pk", filter=holds),
        **{name: Count("pk", filter=holds & Q(organization__accepted_modes=name)) for name in names},
        forbidding=Count("pk", filter=Q(organization__remembering_forbidden=True)),
    )
    return CombinedPolicy(
        required=numbers["required"] > 0,
        accepted_modes=accepted_modes.strictest([name for name in names if numbers[name]]),
        remembering_forbidden=numbers["forbidding"] > 0,
    )

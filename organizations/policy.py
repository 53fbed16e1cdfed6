"""MFA policy: a question asked of memberships on each request, never a flag on the user (design, decision 6)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from mfa import modes
from organizations import accepted_modes, membership, rehearsal
from organizations.models import EventKind, Membership, Organization, OrganizationEvent, Role


class MfaMissing(Refused):
    """A member without MFA, or without a mode that counts, of an organization that requires it (SR-41)."""

    message = _("%(name)s requires multi-factor authentication that your account does not have yet.")

    def __init__(self, organization: Organization) -> None:
        super().__init__()
        self.organization = organization

    @property
    def text(self) -> str:
        """The message, with the organization that asks and the mode that counts there."""
        text = str(self.message) % {"name": self.organization.name}
        if mode := self.organization.accepted_modes:
            text += " " + gettext("Only this mode counts there: %(mode)s.") % {"mode": mode}
        return text


def authorize(
    user: User, organization_id: UUID, *, channel: Channel, origin: Origin, roles: Collection[Role] = frozenset(Role)
) -> Membership:
    """Give the membership through which ``user`` works in an organization in one of ``roles``. One query.

    ``channel`` and ``origin`` are noted where a rehearsal would have stopped it. Raises ``OrganizationNotFound``,
    ``MfaMissing`` or ``RoleMissing``.
    """
    found = membership.find(user, organization_id)
    if found is None:
        raise membership.OrganizationNotFound
    found.user = user
    if is_blocked(found):
        raise MfaMissing(found.organization)
    if found.organization.is_rehearsing and not is_met(found):
        rehearsal.note(found.organization, user, channel, origin)
    if found.role not in roles:
        raise membership.RoleMissing
    return found


def is_blocked(member: Membership) -> bool:
    """Whether the policy of the organization closes it to this member now; its user's modes must be fresh."""
    return member.organization.mfa_required and not is_met(member)


def is_met(member: Membership) -> bool:
    """Whether a member meets the policy, be it in force or not; its user's modes must be fresh."""
    return member.is_exempt or member.organization.is_met_by(member.user.modes)


def _with_policies(user: User) -> list[Membership]:
    """Give the user's memberships of organizations that want something, by name. One query."""
    wants = Q(organization__mfa_required_at__isnull=False) | Q(organization__rehearsal_until__gt=timezone.now())
    found = list(membership.of_user(user).filter(wants))
    for row in found:
        row.user = user
    return found


def requiring(user: User) -> list[Organization]:
    """Give the user's organizations that require MFA of this user now, met or not, by name. One query."""
    return [row.organization for row in _with_policies(user) if row.organization.mfa_required and not row.is_exempt]


def unmet_without(user: User) -> Callable[[frozenset[str]], list[Organization]]:
    """Give the question which organizations would close themselves to somebody with given modes. One query."""
    required = requiring(user)
    return lambda modes: [organization for organization in required if not organization.is_met_by(modes)]


@dataclass(frozen=True)
class PolicyStatus:
    """What the organizations of a user say of their MFA."""

    blocking: list[Organization]  # closed to the user now
    announcing: list[Organization]  # will close from a date on, the nearest first
    rehearsing: list[Organization]  # would be closed, were it in force


NOTHING = PolicyStatus([], [], [])


def status_of(user: User) -> PolicyStatus:
    """Tell which policies a user does not meet. No query for modes that meet every policy."""
    if accepted_modes.all_are_met_by(user.modes):
        return NOTHING
    rows = _with_policies(user)
    unmet = [row.organization for row in rows if not is_met(row)]
    return PolicyStatus(
        blocking=[organization for organization in unmet if organization.mfa_required],
        announcing=_announcing(rows),
        rehearsing=[organization for organization in unmet if organization.is_rehearsing],
    )


def _announcing(rows: list[Membership]) -> list[Organization]:
    """Give the organizations that will close from a date on; an exemption that ends before it does not help."""
    coming = [
        (row.organization.mfa_required_at, row.organization)
        for row in rows
        if row.organization.mfa_required_at and row.organization.mfa_announced and not _will_be_met(row)
    ]
    return [organization for _at, organization in sorted(coming, key=lambda pair: pair[0])]


def _will_be_met(row: Membership) -> bool:
    at = row.organization.mfa_required_at
    return row.organization.is_met_by(row.user.modes) or (at is not None and row.is_exempt_at(at))


def blocking(user: User) -> list[Organization]:
    """Give the organizations whose policy this user does not meet, by name."""
    return status_of(user).blocking


def forbidding_remembering(user: User) -> list[Organization]:
    """Give the user's organizations that want a code at every sign-in, by name. One query."""
    return list(Organization.objects.filter(memberships__user=user, remembering_forbidden=True).order_by("name", "pk"))


def forbids_remembering(user: User) -> bool:
    """Whether no browser of this user may be spared the code. One query."""
    return bool(forbidding_remembering(user))


def required_by(organizations: Collection[Organization]) -> dict[UUID, str]:
    """Give the address of whoever decided that organizations require MFA, from their security logs. One query."""
    kinds = (EventKind.MFA_REQUIRED, EventKind.MFA_ANNOUNCED)
    events = OrganizationEvent.objects.filter(organization__in=organizations, kind__in=kinds).order_by("at", "pk")
    return dict(events.values_list("organization", "actor_email"))


@dataclass(frozen=True)
class Strictest:
    """What all organizations of a user together ask for now."""

    required: bool
    demanded: frozenset[str]  # names of modes, each demanded by some organization
    remembering_forbidden: bool


def strictest(user: User) -> Strictest:
    """Give the strictest of the rules of a user's organizations. One query."""
    now, demandable = timezone.now(), [mode.name for mode in modes.demandable()]
    holds = Q(organization__mfa_required_at__lte=now) & ~Q(exempt_until__gt=now)
    numbers = Membership.objects.filter(user=user).aggregate(
        required=Count("pk", filter=holds),
        **{name: Count("pk", filter=holds & Q(organization__accepted_modes=name)) for name in demandable},
        forbidding=Count("pk", filter=Q(organization__remembering_forbidden=True)),
    )
    return Strictest(
        required=numbers["required"] > 0,
        demanded=frozenset(name for name in demandable if numbers[name]),
        remembering_forbidden=numbers["forbidding"] > 0,
    )

"""MFA policy: a question asked of memberships on each request, never a flag on the user (design, decision 6)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import outbox
from accounts.models import Mail, Mode, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import compliance, membership, rehearsal, reminders
from organizations.models import Counting, Door, EventKind, Membership, Organization, Role

TELL_TASK = "organizations.tell_of_policy"
OWNERS_TOLD = 100

View = TypeVar("View", bound=Callable[..., object])


class OwnMfaIsOff(Refused):
    """Who demands it must have it, in a mode that counts (SR-40)."""

    message = _("Please enable multi-factor authentication for your own account before you require it of others.")


class RequiredAlready(Refused):
    """There is nothing left to rehearse."""

    message = _("Multi-factor authentication is required already: there is nothing left to rehearse.")


class MfaMissing(Refused):
    """A member without MFA, or without a mode that counts, of an organization that requires it (SR-41)."""

    message = _("This organization requires multi-factor authentication that your account does not have yet.")


def enter(
    user: User, organization_id: UUID, *, door: Door, origin: Origin, roles: Collection[Role] = frozenset(Role)
) -> Membership:
    """Give the membership through which ``user`` works in an organization in one of ``roles``. One query.

    ``door`` and ``origin`` are noted where a rehearsal would have stopped it. Raises ``Stranger``, ``MfaMissing`` or
    ``RoleMissing``.
    """
    found = membership.find(user, organization_id)
    if found is None:
        raise membership.Stranger
    found.user = user
    if stops(found):
        raise MfaMissing
    if found.organization.is_rehearsing and not _is_met(found):
        rehearsal.note(found.organization, user, door, origin)
    if found.role not in roles:
        raise membership.RoleMissing
    return found


def stops(member: Membership) -> bool:
    """Whether the policy of the organization closes it to this member now; its user's modes must be fresh."""
    return member.organization.mfa_required and not _is_met(member)


def _is_met(member: Membership) -> bool:
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
class Standing:
    """What the organizations of a user say of their MFA."""

    blocking: list[Organization]  # closed to the user now
    announcing: list[Organization]  # will close from a date on, the nearest first
    rehearsing: list[Organization]  # would be closed, were it in force


NOTHING = Standing([], [], [])


def standing(user: User) -> Standing:
    """Tell which policies a user does not meet. No query for who has an authenticator: that meets every policy."""
    if Mode.AUTHENTICATOR in user.modes:
        return NOTHING
    unmet = [row.organization for row in _with_policies(user) if not _is_met(row)]
    announced = [organization for organization in unmet if organization.mfa_announced]
    return Standing(
        blocking=[organization for organization in unmet if organization.mfa_required],
        announcing=sorted(announced, key=lambda organization: organization.mfa_required_at or timezone.now()),
        rehearsing=[organization for organization in unmet if organization.is_rehearsing],
    )


def blocking(user: User) -> list[Organization]:
    """Give the organizations whose policy this user does not meet, by name."""
    return standing(user).blocking


def forbidding_remembering(user: User) -> list[Organization]:
    """Give the user's organizations that want a code at every sign-in, by name. One query."""
    return list(Organization.objects.filter(memberships__user=user, remembering_forbidden=True).order_by("name", "pk"))


def forbids_remembering(user: User) -> bool:
    """Whether no browser of this user may be spared the code. One query."""
    return bool(forbidding_remembering(user))


def set_remembering(owner: Membership, *, forbidden: bool, origin: Origin) -> None:
    """Forbid or allow remembered browsers to all members; it holds from the next request on."""
    with transaction.atomic(durable=True):
        organizations = Organization.objects.filter(pk=owner.organization_id, remembering_forbidden=not forbidden)
        if organizations.update(remembering_forbidden=forbidden):
            kind = EventKind.REMEMBERING_FORBIDDEN if forbidden else EventKind.REMEMBERING_ALLOWED
            _record(owner.organization, owner.user, kind, origin)


def require(owner: Membership, origin: Origin, *, at: datetime | None = None, counting: str = "") -> None:
    """Require MFA of every member, now or from ``at`` on: one row, whatever the size; ends a rehearsal.

    ``counting`` names the one mode that counts; blank means any. Where it is required already, ``at`` changes nothing:
    tightening or loosening what counts does not interrupt it. Raises ``OwnMfaIsOff``.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update(no_key=True).get(pk=owner.user_id)
        organization = Organization.objects.select_for_update().get(pk=owner.organization_id)
        before = (organization.mfa_required, organization.mfa_required_at, organization.counting_modes)
        organization.counting_modes = counting
        if not organization.is_met_by(user.modes):
            raise OwnMfaIsOff
        if not organization.mfa_required:
            organization.mfa_required_at = max(at or now, now)
        organization.rehearsal_until = None
        organization.save(update_fields=["counting_modes", "mfa_required_at", "rehearsal_until"])
        if before[1] != organization.mfa_required_at:
            kind = EventKind.MFA_REQUIRED if organization.mfa_required else EventKind.MFA_ANNOUNCED
            _record(organization, user, kind, origin, _from(organization) if organization.mfa_announced else "")
            if organization.mfa_announced:
                reminders.announce(organization)
        if before[2] != counting:
            _record(organization, user, EventKind.COUNTING_MODES, origin, str(Counting(counting).label))


def set_counting(owner: Membership, counting: str, origin: Origin) -> None:
    """Choose which modes will count, before MFA is required."""
    with transaction.atomic(durable=True):
        rows = Organization.objects.filter(pk=owner.organization_id).exclude(counting_modes=counting)
        if rows.update(counting_modes=counting):
            _record(owner.organization, owner.user, EventKind.COUNTING_MODES, origin, str(Counting(counting).label))


def _from(organization: Organization) -> str:
    return f"{organization.mfa_required_at:{compliance.WRITTEN}}"


def _record(organization: Organization, user: User, kind: EventKind, origin: Origin, subject: str = "") -> None:
    """Write down a change of policy, and let the other owners know of it (SR-54)."""
    event = membership.record(organization, user, kind, origin, subject=subject)
    owners = Membership.objects.filter(organization=organization, role=Role.OWNER).select_related("user")
    outbox.post_many([Mail(task=TELL_TASK, user=owner.user, about=str(event.pk)) for owner in owners[:OWNERS_TOLD]])


def stop_requiring(owner: Membership, origin: Origin) -> None:
    """Leave MFA to each member again, also where it was only announced."""
    with transaction.atomic(durable=True):
        organizations = Organization.objects.filter(pk=owner.organization_id, mfa_required_at__isnull=False)
        if organizations.update(mfa_required_at=None):
            _record(owner.organization, owner.user, EventKind.MFA_NOT_REQUIRED, origin)


def rehearse(owner: Membership, origin: Origin, *, days: int) -> None:
    """For some days, only note whom the policy would stop; 0 ends it. Raises ``RequiredAlready``."""
    with transaction.atomic(durable=True):
        organization = Organization.objects.select_for_update().get(pk=owner.organization_id)
        if organization.mfa_required:
            raise RequiredAlready
        until = timezone.now() + timedelta(days=days) if days else None
        if days:
            rehearsal.forget(organization)
        Organization.objects.filter(pk=organization.pk).update(rehearsal_until=until)
        kind = EventKind.REHEARSAL_STARTED if days else EventKind.REHEARSAL_ENDED
        _record(organization, owner.user, kind, origin, f"{until:{compliance.WRITTEN}}" if until else "")


def exempt(owner: Membership, user_id: UUID, *, reason: str, until: datetime | None, origin: Origin) -> None:
    """Spare a service account the policy until a day, or end that (``until`` is None). Raises ``NotAMember``."""
    with transaction.atomic(durable=True):
        Organization.objects.select_for_update().get(pk=owner.organization_id)
        rows = Membership.objects.filter(organization=owner.organization_id, user=user_id).select_related("user")
        row = rows.first()
        if row is None:
            raise membership.NotAMember
        rows.update(exempt_until=until, exempt_reason=reason if until else "")
        kind = EventKind.EXEMPTED if until else EventKind.EXEMPTION_ENDED
        words = f"{row.user.email}: {reason} ({until:%Y-%m-%d})" if until else row.user.email
        _record(owner.organization, owner.user, kind, origin, words[:254])


def works_without_mfa(view: View) -> View:
    """Mark a view as one that a member works with although an organization still waits for their MFA."""
    view.works_without_mfa = True  # type: ignore[attr-defined]
    return view

"""MFA policy: a question asked of memberships on each request, never a flag on the user (design, decision 6)."""

from collections.abc import Callable, Collection
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import membership
from organizations.models import EventKind, Membership, Organization, Role

View = TypeVar("View", bound=Callable[..., object])


class OwnMfaIsOff(Refused):
    """Who demands it must have it (SR-40)."""

    message = _("Please enable multi-factor authentication for your own account before you require it of others.")


class MfaMissing(Refused):
    """A member without MFA of an organization that requires it (SR-41)."""

    message = _("This organization requires multi-factor authentication, and your account does not have it yet.")


def enter(user: User, organization_id: UUID, *, roles: Collection[Role] = frozenset(Role)) -> Membership:
    """Give the membership through which ``user`` works in an organization in one of ``roles``. One query.

    Raises ``Stranger``, ``MfaMissing`` or ``RoleMissing``.
    """
    found = membership.find(user, organization_id)
    if found is None:
        raise membership.Stranger
    if found.organization.mfa_required and not user.mfa_is_on:
        raise MfaMissing
    if found.role not in roles:
        raise membership.RoleMissing
    found.user = user
    return found


def requiring(user: User) -> list[Organization]:
    """Give the user's organizations that require MFA, by name. One query."""
    return list(
        Organization.objects.filter(memberships__user=user, mfa_required_at__isnull=False).order_by("name", "pk")
    )


def blocking(user: User) -> list[Organization]:
    """Give the organizations whose policy this user does not meet. No query for who has MFA on."""
    return [] if user.mfa_is_on else requiring(user)


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
            membership.record(owner.organization, owner.user, kind, origin)


def require(owner: Membership, origin: Origin) -> None:
    """Require MFA of every member from now on: one column, whatever the size. Raises ``OwnMfaIsOff``."""
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update(no_key=True).get(pk=owner.user_id)
        if not user.mfa_is_on:
            raise OwnMfaIsOff
        organizations = Organization.objects.filter(pk=owner.organization_id, mfa_required_at=None)
        if organizations.update(mfa_required_at=timezone.now()):
            membership.record(owner.organization, user, EventKind.MFA_REQUIRED, origin)


def stop_requiring(owner: Membership, origin: Origin) -> None:
    """Leave MFA to each member again."""
    with transaction.atomic(durable=True):
        organizations = Organization.objects.filter(pk=owner.organization_id, mfa_required_at__isnull=False)
        if organizations.update(mfa_required_at=None):
            membership.record(owner.organization, owner.user, EventKind.MFA_NOT_REQUIRED, origin)


def works_without_mfa(view: View) -> View:
    """Mark a view as one that a member works with although an organization still waits for their MFA."""
    view.works_without_mfa = True  # type: ignore[attr-defined]
    return view

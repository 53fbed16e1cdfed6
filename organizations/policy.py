"""MFA policy: a question asked of memberships on each request, never a flag on the user (design, decision 6)."""

from collections.abc import Callable
from typing import TypeVar

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations.membership import record
from organizations.models import Membership, Organization

View = TypeVar("View", bound=Callable[..., object])


class OwnMfaIsOff(Refused):
    """Who demands it must have it (SR-40)."""

    message = _("Please enable multi-factor authentication for your own account before you require it of others.")


def requiring(user: User) -> list[Organization]:
    """Give the user's organizations that require MFA, by name. One query."""
    return list(
        Organization.objects.filter(memberships__user=user, mfa_required_at__isnull=False).order_by("name", "pk")
    )


def blocking(user: User) -> list[Organization]:
    """Give the organizations whose policy this user does not meet. No query for who has MFA on."""
    return [] if user.mfa_is_on else requiring(user)


def require(membership: Membership, origin: Origin) -> None:
    """Require MFA of every member from now on: one column, whatever the size. Raises ``OwnMfaIsOff``."""
    with transaction.atomic(durable=True):
        owner = User.objects.select_for_update(no_key=True).get(pk=membership.user_id)
        if not owner.mfa_is_on:
            raise OwnMfaIsOff
        organizations = Organization.objects.filter(pk=membership.organization_id, mfa_required_at=None)
        if organizations.update(mfa_required_at=timezone.now()):
            record(membership.organization, owner, "mfa_required", origin)


def stop_requiring(membership: Membership, origin: Origin) -> None:
    """Leave MFA to each member again."""
    with transaction.atomic(durable=True):
        organizations = Organization.objects.filter(pk=membership.organization_id, mfa_required_at__isnull=False)
        if organizations.update(mfa_required_at=None):
            record(membership.organization, membership.user, "mfa_not_required", origin)


def works_without_mfa(view: View) -> View:
    """Mark a view as one that a member works with although an organization still waits for their MFA."""
    view.works_without_mfa = True  # type: ignore[attr-defined]
    return view

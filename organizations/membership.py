"""Who belongs to an organization, and as what."""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations.models import Membership, Organization, OrganizationEvent, Role


class LastOwner(Refused):
    """An organization never loses its last owner (SR-40)."""

    message = _("You are the only owner of this organization. Make somebody else an owner before you leave.")


def of_user(user: User) -> QuerySet[Membership]:
    """Give a user's memberships with their organizations, by name."""
    return (
        Membership.objects.filter(user=user)
        .select_related("organization")
        .order_by("organization__name", "organization_id")
    )


def find(user: User, organization_id: UUID) -> Membership | None:
    """Find the membership of a user in an organization; None for strangers."""
    return Membership.objects.select_related("organization").filter(user=user, organization_id=organization_id).first()


def rename(membership: Membership, name: str, origin: Origin) -> None:
    """Give the organization another name."""
    with transaction.atomic():
        Organization.objects.filter(pk=membership.organization_id).update(name=name)
        record(membership.organization, membership.user, "renamed", origin)


def leave(membership: Membership, origin: Origin) -> None:
    """Leave an organization. Raises ``LastOwner``."""
    with transaction.atomic(durable=True):
        organization = Organization.objects.select_for_update().get(pk=membership.organization_id)
        if membership.role == Role.OWNER:
            owners = Membership.objects.filter(organization=organization, role=Role.OWNER)
            if not owners.exclude(pk=membership.pk).exists():
                raise LastOwner
        Membership.objects.filter(pk=membership.pk).delete()
        record(organization, membership.user, "left", origin)


def record(organization: Organization, actor: User, kind: str, origin: Origin) -> OrganizationEvent:
    """Write down what happened to an organization."""
    return OrganizationEvent.objects.create(
        organization=organization, actor=actor, kind=kind, address=origin.address, agent=origin.agent[:255]
    )

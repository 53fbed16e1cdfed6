"""Who belongs to an organization, and as what."""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import metrics, outbox
from accounts.models import Mail, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations.models import MANAGERS, EventKind, Membership, Organization, OrganizationEvent, Role

TELL_TASK = "organizations.tell_owners"
OWNERS_TOLD = 100


class LastOwner(Refused):
    """An organization never loses its last owner (SR-40)."""

    message = _("You are the only owner of this organization. Make somebody else an owner before you leave.")


class Stranger(Refused):
    """No such organization, or not a member of it: the answer is the same (SR-39)."""

    message = _("There is no such organization, or you do not belong to it.")


class RoleMissing(Refused):
    """The member may not do this."""

    message = _("Your role in this organization does not allow this. Ask one of its owners.")


class NotAMember(Refused):
    """Whom it is to be done to is not there."""

    message = _("This person does not belong to the organization.")


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


def create(name: str, owner: User, origin: Origin) -> Organization:
    """Make an organization with its first owner."""
    with transaction.atomic():
        organization = Organization.objects.create(name=name)
        Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
        record(organization, owner, EventKind.CREATED, origin)
    return organization


def rename(membership: Membership, name: str, origin: Origin) -> None:
    """Give the organization another name."""
    with transaction.atomic():
        Organization.objects.filter(pk=membership.organization_id).update(name=name)
        record(membership.organization, membership.user, EventKind.RENAMED, origin)


def members(organization: Organization) -> QuerySet[Membership]:
    """Give the memberships of an organization with their users, by address."""
    return (
        Membership.objects.filter(organization=organization)
        .select_related("user")
        .order_by("user__email_key")
        .defer("user__password")
    )


def leave(membership: Membership, origin: Origin) -> None:
    """Leave an organization. Raises ``LastOwner``."""
    remove(membership, membership.user_id, origin)


def remove(actor: Membership, user_id: UUID, origin: Origin) -> None:
    """Take a member out of an organization; everybody may take out themselves.

    Raises ``RoleMissing``, ``NotAMember`` or ``LastOwner``.
    """
    with transaction.atomic(durable=True):
        mine, goes = _lock_pair(actor, user_id)
        if Role(goes.role).rank > Role(mine.role).rank:
            raise RoleMissing
        if goes.role == Role.OWNER and _is_last_owner(goes):
            raise LastOwner
        goes.delete()
        kind = EventKind.LEFT if mine.user_id == user_id else EventKind.MEMBER_REMOVED
        happened = record(actor.organization, actor.user, kind, origin, subject=goes.user.email)
        if goes.role == Role.OWNER:
            tell_owners(happened)
        if goes.is_exempt:
            record(actor.organization, actor.user, EventKind.EXEMPTION_ENDED, origin, subject=goes.user.email)


def set_role(actor: Membership, user_id: UUID, role: Role, origin: Origin) -> None:
    """Give a member another role: never one above the actor's own, nor to somebody above it (SR-44).

    Raises ``RoleMissing``, ``NotAMember``, ``Stranger`` or ``LastOwner``.
    """
    with transaction.atomic(durable=True):
        mine, target = _lock_pair(actor, user_id)
        if mine.role not in MANAGERS or max(role.rank, Role(target.role).rank) > Role(mine.role).rank:
            raise RoleMissing
        if target.role == Role.OWNER and role != Role.OWNER and _is_last_owner(target):
            raise LastOwner
        if target.role != role:
            _change_role(actor, target, role, origin)


def hand_over(owner: Membership, user_id: UUID, origin: Origin) -> None:
    """Make another member an owner and oneself an admin. Raises ``RoleMissing``, ``NotAMember`` or ``Stranger``."""
    with transaction.atomic(durable=True):
        mine, target = _lock_pair(owner, user_id)
        if mine.role != Role.OWNER or mine.pk == target.pk:
            raise RoleMissing
        _change_role(owner, target, Role.OWNER, origin)
        _change_role(owner, mine, Role.ADMIN, origin)


def _change_role(actor: Membership, target: Membership, role: Role, origin: Origin) -> None:
    rows = Membership.objects.filter(pk=target.pk)
    rows.update(role=role)
    subject = f"{target.user.email}: {role.label}"[:254]
    happened = record(actor.organization, actor.user, EventKind.ROLE_CHANGED, origin, subject=subject)
    if Role.OWNER in (role, target.role):
        tell_owners(happened)
    # Whoever manages others is no service account.
    if role in MANAGERS and rows.filter(exempt_until__isnull=False).update(exempt_until=None, exempt_reason=""):
        record(actor.organization, actor.user, EventKind.EXEMPTION_ENDED, origin, subject=target.user.email)


def _lock_pair(actor: Membership, user_id: UUID) -> tuple[Membership, Membership]:
    """Lock the organization and reread who acts and whom it is done to; a member acts on nobody else."""
    # One lock an organization: two owners who remove each other leave one.
    organization = Organization.objects.select_for_update().get(pk=actor.organization_id)
    rows = Membership.objects.select_related("user").filter(organization=organization)
    mine, target = rows.filter(pk=actor.pk).first(), rows.filter(user_id=user_id).first()
    if mine is None:
        raise Stranger
    if mine.role not in MANAGERS and mine.user_id != user_id:
        raise RoleMissing
    if target is None:
        raise NotAMember
    return mine, target


def _is_last_owner(member: Membership) -> bool:
    owners = Membership.objects.filter(organization=member.organization_id, role=Role.OWNER)
    return not owners.exclude(pk=member.pk).exists()


def event(
    organization: Organization, actor: User | None, kind: EventKind, origin: Origin, *, subject: str = ""
) -> OrganizationEvent:
    """Make, without saving it, the record of what happened to an organization, and to whom or what in it."""
    metrics.count("organization", kind)
    return OrganizationEvent(
        organization=organization,
        actor=actor,
        kind=kind,
        subject=subject,
        address=origin.address,
        agent=origin.agent[:255],
    )


def record(
    organization: Organization, actor: User | None, kind: EventKind, origin: Origin, *, subject: str = ""
) -> OrganizationEvent:
    """Write down what happened to an organization, and to whom or what in it."""
    made = event(organization, actor, kind, origin, subject=subject)
    made.save(force_insert=True)
    return made


def tell_owners(happened: OrganizationEvent) -> None:
    """Mail to the owners of an organization what happened to it (SR-54)."""
    owners = Membership.objects.filter(organization=happened.organization_id, role=Role.OWNER).select_related("user")
    outbox.post_many([Mail(task=TELL_TASK, user=owner.user, about=str(happened.pk)) for owner in owners[:OWNERS_TOLD]])


def events(organization: Organization) -> QuerySet[OrganizationEvent]:
    """Give what happened to an organization, newest first, with who did it."""
    return OrganizationEvent.objects.filter(organization=organization).select_related("actor").order_by("-at", "-pk")

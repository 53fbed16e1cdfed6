"""Memberships of organizations, roles, and the organization's security log."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import metrics, outbox
from accounts.models import Mail, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations.models import MANAGERS, EventKind, Invitation, Membership, Organization, OrganizationEvent, Role

MAX_OWNERS_TOLD = 100
BATCH = 500


class LastOwner(Refused):
    """The change would leave the organization without an owner who can sign in and meets its policy (SR-40)."""

    message = _("An organization needs an owner who can use it. Make another member an owner first.")


class OrganizationNotFound(Refused):
    """Unknown, or the user is not a member: the answer is the same (SR-39)."""

    message = _("There is no such organization, or you are not a member of it.")


class RoleMissing(Refused):
    """The member's role does not allow the action."""

    message = _("Your role in this organization does not allow this. Ask one of its owners.")


class NewOwnerWithoutMfa(Refused):
    """The new owner would not meet the organization's policy (SR-40)."""

    message = _("This member does not have the multi-factor authentication that the organization requires.")


class AccountDisabled(Refused):
    """The account is disabled: it cannot become an owner or admin."""

    message = _("This account is disabled, so it cannot become an owner or admin.")


class AccountLeaves(Refused):
    """The user has asked to delete the account: it cannot become an owner or admin."""

    message = _("This account is about to be deleted, so it cannot become an owner or admin.")


class NotAMember(Refused):
    """The user to act on is not a member of the organization."""

    message = _("This user is not a member of the organization.")


def of_user(user: User, *, search: str = "") -> QuerySet[Membership]:
    """Return a user's memberships with their organizations, ordered by name, of which ``search`` is some part."""
    named = Q(organization__name__icontains=search) if search else Q()
    return (
        Membership.objects.filter(named, user=user, organization__deleted_at=None)
        .select_related("organization")
        .order_by("organization__name", "organization_id")
    )


# Most users have fewer: one query then serves the menu and every policy of a request.
MOST_READ_AT_ONCE = 50


@dataclass(frozen=True)
class Memberships:
    """The first memberships of a user, by name of organization."""

    rows: list[Membership]
    are_all: bool


def first_of(user: User) -> Memberships:
    """Read the memberships of a user, at most ``MOST_READ_AT_ONCE``. One query."""
    rows = list(of_user(user)[: MOST_READ_AT_ONCE + 1])
    return Memberships(rows[:MOST_READ_AT_ONCE], are_all=len(rows) <= MOST_READ_AT_ONCE)


def find(user: User, organization_id: UUID) -> Membership | None:
    """Return the membership of a user in an organization, or None if the user is not a member."""
    rows = Membership.objects.select_related("organization").filter(organization__deleted_at=None)
    return rows.filter(user=user, organization_id=organization_id).first()


def lock(organization_id: UUID) -> Organization:
    """Lock and reload an organization.

    Lock a user before it and an invitation after it, so that no two transactions deadlock. Rows that refer to the
    organization can still be added.
    """
    return Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


def still_owner(owner: Membership) -> None:
    """Raise ``RoleMissing`` if the owner has been demoted or removed since the request read the membership."""
    if not Membership.objects.filter(pk=owner.pk, role=Role.OWNER).exists():
        raise RoleMissing


def is_manager(organization: Organization, user_id: UUID) -> bool:
    """Return whether a user is an owner or admin of an organization."""
    return Membership.objects.filter(organization=organization, user=user_id, role__in=MANAGERS).exists()


def create(name: str, owner: User, origin: Origin) -> Organization:
    """Create an organization with its first owner."""
    with transaction.atomic():
        organization = Organization.objects.create(name=name)
        Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
        record(organization, owner, EventKind.CREATED, origin)
    return organization


def rename(membership: Membership, name: str, origin: Origin) -> None:
    """Rename the organization."""
    with transaction.atomic():
        Organization.objects.filter(pk=membership.organization_id).update(name=name)
        subject = f"{membership.organization.name} → {name}"
        record(membership.organization, membership.user, EventKind.RENAMED, origin, subject=subject)


def rename_by_staff(organization: Organization, name: str, *, by: User, reason: str, origin: Origin) -> None:
    """Rename an organization on behalf of its owners, who get a mail about it."""
    with transaction.atomic():
        organization = lock(organization.pk)
        subject = f"{organization.name} → {name}: {reason}"
        organization.name = name
        organization.save(update_fields=["name"])
        tell_owners(record(organization, by, EventKind.RENAMED, origin, subject=subject))


@dataclass(frozen=True)
class ListedMember:
    """What the command-line client shows of a member."""

    user_id: UUID
    name: str
    email: str
    role: Role


def roster(organization: Organization) -> Iterator[ListedMember]:
    """Yield every member, ordered by email: the command-line client has no pages."""
    rows = Membership.objects.filter(organization=organization).order_by("email_key")
    for user_id, name, email, role in rows.values_list("user_id", "user__name", "user__email", "role").iterator():
        yield ListedMember(user_id, name, email, Role(role))


def leave(membership: Membership, origin: Origin) -> None:
    """Leave an organization. Raise ``LastOwner``."""
    remove(membership, membership.user_id, origin)


def remove(actor: Membership, user_id: UUID, origin: Origin) -> None:
    """Remove a member from an organization. Every member may remove themselves.

    Raise ``RoleMissing``, ``NotAMember`` or ``LastOwner``.
    """
    with transaction.atomic(durable=True):
        mine, goes = _lock_pair(actor, user_id)
        if Role(goes.role).rank > Role(mine.role).rank:
            raise RoleMissing
        if owned_alone([goes]):
            raise LastOwner
        take_out(actor, goes, EventKind.LEFT if mine.user_id == user_id else EventKind.MEMBER_REMOVED, origin)


def take_out(actor: Membership, goes: Membership, kind: EventKind, origin: Origin) -> None:
    """End a membership and what came of it. The caller holds the organization's lock and has checked the rules."""
    told = owners_of(actor.organization)
    goes.delete()
    happened = record(actor.organization, actor.user, kind, origin, subject=goes.user.email)
    if goes.role == Role.OWNER:
        tell(told, happened)
    if goes.is_exempt:
        _end_exemption(actor, goes, origin)
    back = Q(email_key=goes.user.email_key) | Q(sender=goes.user, role__in=MANAGERS)
    _withdraw_matching(actor, back, origin)


def remove_many(actor: Membership, member_ids: Collection[int], origin: Origin) -> int:
    """Remove members at once, by the ids of their memberships. Return their number.

    The actor, owners and members of higher rank stay. The caller opens the transaction. Raise ``RoleMissing``.
    """
    organization = lock(actor.organization_id)
    mine = Membership.objects.filter(pk=actor.pk, role__in=MANAGERS).first()
    if mine is None:
        raise RoleMissing
    roles = [role for role in Role if role.rank <= Role(mine.role).rank and role != Role.OWNER]
    rows = Membership.objects.filter(organization=organization, pk__in=member_ids, role__in=roles)
    gone = list(rows.exclude(pk=mine.pk).select_related("user"))
    users = [row.user for row in gone]
    Membership.objects.filter(pk__in=[row.pk for row in gone]).delete()
    record_many(organization, actor.user, EventKind.MEMBER_REMOVED, origin, [user.email for user in users])
    for row in gone:
        if row.is_exempt:
            _end_exemption(actor, row, origin)
    back = Q(email_key__in=[user.email_key for user in users]) | Q(sender__in=users, role__in=MANAGERS)
    _withdraw_matching(actor, back, origin)
    return len(gone)


def set_role(actor: Membership, user_id: UUID, role: Role, origin: Origin) -> None:
    """Change a member's role. Neither the old nor the new role may rank above the actor's own (SR-44).

    Raise ``RoleMissing``, ``NotAMember``, ``OrganizationNotFound``, ``AccountDisabled``, ``AccountLeaves`` or
    ``LastOwner``.
    """
    with transaction.atomic(durable=True):
        mine, target = _lock_pair(actor, user_id)
        if mine.role not in MANAGERS or max(role.rank, Role(target.role).rank) > Role(mine.role).rank:
            raise RoleMissing
        if role != Role.OWNER and owned_alone([target]):
            raise LastOwner
        if role in MANAGERS:
            _may_manage(target.user)
        if target.role != role:
            _change_role(actor, target, role, origin)


def hand_over(owner: Membership, user_id: UUID, origin: Origin) -> None:
    """Make another member an owner, and the present owner an admin.

    Raise ``RoleMissing``, ``NotAMember``, ``OrganizationNotFound``, ``AccountDisabled``, ``AccountLeaves`` or
    ``NewOwnerWithoutMfa``.
    """
    with transaction.atomic(durable=True):
        mine, target = _lock_pair(owner, user_id)
        if mine.role != Role.OWNER or mine.pk == target.pk:
            raise RoleMissing
        _may_manage(target.user)
        if mine.organization.mfa_required and not mine.organization.is_met_by(target.user.modes):
            raise NewOwnerWithoutMfa
        _change_role(owner, target, Role.OWNER, origin)
        _change_role(owner, mine, Role.ADMIN, origin)


def _may_manage(user: User) -> None:
    """Raise ``AccountDisabled`` or ``AccountLeaves`` if a user cannot become an owner or admin."""
    if not user.is_active:
        raise AccountDisabled
    if user.deletion_due_at is not None:
        raise AccountLeaves


def _change_role(actor: Membership, target: Membership, role: Role, origin: Origin) -> None:
    told = {*owners_of(actor.organization), target.user}
    rows = Membership.objects.filter(pk=target.pk)
    rows.update(role=role)
    subject = f"{target.user.email}: {role.value}"
    happened = record(actor.organization, actor.user, EventKind.ROLE_CHANGED, origin, subject=subject)
    if Role.OWNER in (role, target.role):
        tell(told, happened)
    # Only service accounts are exempt, and an owner or admin is not one.
    if role in MANAGERS and rows.filter(exempt_until__isnull=False).update(exempt_until=None, exempt_reason=""):
        _end_exemption(actor, target, origin)
    above = [other for other in MANAGERS if other.rank > role.rank]
    _withdraw_matching(actor, Q(sender=target.user, role__in=above), origin)


def _end_exemption(actor: Membership, member: Membership, origin: Origin) -> None:
    kind, user = EventKind.EXEMPTION_ENDED, member.user
    record(actor.organization, actor.user, kind, origin, subject=user.email, member=user.pk)


def _withdraw_matching(actor: Membership, which: Q, origin: Origin) -> None:
    """Withdraw open invitations that would restore the rights just removed (SR-43)."""
    rows = Invitation.objects.filter(which, organization=actor.organization, accepted_at=None, revoked_at=None)
    withdraw_invitations(actor, list(rows.select_for_update()), origin)


def withdraw_invitations(actor: Membership, rows: list[Invitation], origin: Origin) -> None:
    """Mark open invitations as withdrawn and record it. The caller holds a lock on them or on the organization."""
    Invitation.objects.filter(pk__in=[row.pk for row in rows]).update(revoked_at=timezone.now())
    kind = EventKind.INVITATION_WITHDRAWN
    record_many(actor.organization, actor.user, kind, origin, [row.email for row in rows])


def _lock_pair(actor: Membership, user_id: UUID) -> tuple[Membership, Membership]:
    """Lock the organization and reload actor and target. Members without a managing role act only on themselves.

    Raise ``OrganizationNotFound``, ``RoleMissing`` or ``NotAMember``.
    """
    # One lock for each organization: if two owners remove each other, one of them stays.
    organization = lock(actor.organization_id)
    rows = Membership.objects.select_related("user", "organization").filter(organization=organization)
    mine, target = rows.filter(pk=actor.pk).first(), rows.filter(user_id=user_id).first()
    if mine is None:
        raise OrganizationNotFound
    if mine.role not in MANAGERS and mine.user_id != user_id:
        raise RoleMissing
    if target is None:
        raise NotAMember
    return mine, target


def owned_alone(memberships: Iterable[Membership]) -> list[Organization]:
    """Return the organizations of these memberships of one user that no other owner could use (SR-40). One query.

    Another owner counts who is active, is not about to be deleted and meets the policy. The memberships come with
    their organizations.
    """
    owned = [row for row in memberships if row.role == Role.OWNER and row.organization.deleted_at is None]
    if not owned:
        return []
    others = Membership.objects.filter(
        organization__in=[row.organization_id for row in owned],
        role=Role.OWNER, user__is_active=True, user__deletion_due_at=None,
    ).exclude(user=owned[0].user_id)  # fmt: skip
    modes_of_others: dict[UUID, list[str]] = {row.organization_id: [] for row in owned}
    for organization_id, modes in others.values_list("organization_id", "user__enabled_modes").distinct():
        modes_of_others[organization_id].append(modes)
    return [row.organization for row in owned if not _is_usable(row.organization, modes_of_others[row.organization_id])]


def _is_usable(organization: Organization, modes_of_owners: list[str]) -> bool:
    """Return whether one of these owners, by their modes, meets the policy."""
    return any(not organization.mfa_required or organization.is_met_by(modes.split()) for modes in modes_of_owners)


def event(
    organization: Organization, actor: User | None, kind: EventKind, origin: Origin, **about: object
) -> OrganizationEvent:
    """Return an unsaved event of the organization's security log, and count it.

    ``about`` has further fields of the event: ``subject``, ``member``, ``effective_at``.
    """
    metrics.count("organization", kind)
    return OrganizationEvent(
        organization=organization,
        actor=actor,
        actor_email=actor.email if actor else "",
        kind=kind,
        ip_address=origin.ip_address,
        agent=origin.agent[:255],
        **about,
    )


def record(
    organization: Organization, actor: User | None, kind: EventKind, origin: Origin, **about: object
) -> OrganizationEvent:
    """Save an event in the organization's security log; ``about`` as for ``event``."""
    made = event(organization, actor, kind, origin, **about)
    made.save(force_insert=True)
    return made


def record_many(
    organization: Organization, actor: User, kind: EventKind, origin: Origin, subjects: Iterable[str]
) -> None:
    """Save one event of the same kind for each subject."""
    record_all(event(organization, actor, kind, origin, subject=subject) for subject in subjects)


def record_all(events: Iterable[OrganizationEvent]) -> None:
    """Save events that ``event`` made."""
    OrganizationEvent.objects.bulk_create(events, batch_size=BATCH)


def owners_of(organization: Organization) -> list[User]:
    """Return the first ``MAX_OWNERS_TOLD`` owners who can sign in."""
    rows = Membership.objects.filter(organization=organization, role=Role.OWNER, user__is_active=True)
    return [row.user for row in rows.select_related("user").order_by("pk")[:MAX_OWNERS_TOLD]]


def tell(users: Iterable[User], happened: OrganizationEvent) -> None:
    """Mail an event to some users."""
    outbox.post_many([Mail(task="organizations.owners_notice", user=user, about=str(happened.pk)) for user in users])


def tell_owners(happened: OrganizationEvent) -> None:
    """Mail an event to the owners of its organization (SR-54)."""
    tell(owners_of(happened.organization), happened)


def events(organization: Organization) -> QuerySet[OrganizationEvent]:
    """Return the security log of an organization, newest first."""
    return OrganizationEvent.objects.filter(organization=organization).order_by("-at", "-pk")

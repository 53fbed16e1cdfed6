"""Deletion of an organization: requested by an owner, undone by any owner while it waits, done by a worker.

When the time has come, one transaction ends the policy, withdraws the open invitations, removes the environments and
closes the organization to its members. Members and all that belongs to them then go in batches: a crash loses nothing,
and the next run continues. The security log stays for ``SECURITY_LOG_RETENTION``, with the row that it refers to
(SR-53).
"""

from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.housekeeping import delete_in_batches
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import membership
from organizations.models import (
    ComplianceDay,
    Environment,
    EventKind,
    ExemptionRun,
    Invitation,
    MemberCount,
    Membership,
    Organization,
    OrganizationEvent,
    RehearsalHit,
    Reminder,
    Removal,
)

BATCH = 100
# What goes with the organization. Triggers lower the counts when memberships go, so those come first.
EMPTIED = (Membership, Invitation, Reminder, Removal, ExemptionRun, RehearsalHit, ComplianceDay, MemberCount)


class DeletionBegun(Refused):
    """The waiting time is over."""

    message = _("The waiting time is over, so this deletion can no longer be undone.")


def request(owner: Membership, origin: Origin) -> None:
    """Plan the deletion after ``ORGANIZATION_DELETION_WAIT``, and tell all owners. Raise ``RoleMissing``."""
    with transaction.atomic(durable=True):
        organization = membership.lock(owner.organization_id)
        membership.still_owner(owner)
        if organization.deletion_at is not None:
            return
        organization.deletion_at = timezone.now() + settings.ORGANIZATION_DELETION_WAIT
        organization.save(update_fields=["deletion_at"])
        _record(owner, organization, EventKind.DELETION_REQUESTED, origin)


def cancel(owner: Membership, origin: Origin) -> None:
    """Undo a planned deletion, and tell all owners. Raise ``RoleMissing`` or ``DeletionBegun``."""
    with transaction.atomic(durable=True):
        organization = membership.lock(owner.organization_id)
        membership.still_owner(owner)
        if organization.deletion_at is None:
            return
        if organization.deletion_at <= timezone.now():
            raise DeletionBegun
        Organization.objects.filter(pk=organization.pk).update(deletion_at=None)
        _record(owner, organization, EventKind.DELETION_CANCELLED, origin)


def _record(owner: Membership, organization: Organization, kind: EventKind, origin: Origin) -> None:
    """Log an event about a planned deletion with its time, and mail it to the owners."""
    at = organization.deletion_at
    words = f"{at:%Y-%m-%d %H:%M} UTC" if at else ""
    happened = membership.record(organization, owner.user, kind, origin, subject=words, effective_at=at)
    membership.tell_owners(happened)


def delete_due() -> int:
    """Delete the organizations whose waiting time is over. Return their number."""
    due = Organization.objects.filter(deletion_at__lte=timezone.now()).order_by("deletion_at")
    ids = list(due.values_list("pk", flat=True)[:BATCH])
    return sum(_delete(pk) for pk in ids)


def _delete(pk: UUID) -> bool:
    """Close the organization, then empty it. Return whether it was due."""
    if not _close(pk):
        return False
    for model in EMPTIED:
        delete_in_batches(model._default_manager.filter(organization=pk).order_by("pk"))
    Organization.objects.filter(pk=pk).update(deletion_at=None)
    return True


def _close(pk: UUID) -> bool:
    """End everything that the organization does. Return False if the deletion was undone."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        organization = membership.lock(pk)
        if organization.deletion_at is None or organization.deletion_at > now:
            return False
        if organization.deleted_at is not None:
            return True  # an earlier run was interrupted
        told = membership.owners_of(organization)
        organization.deleted_at = now
        organization.mfa_required_at = organization.rehearsal_until = None
        organization.accepted_modes, organization.remembering_forbidden = "", False
        organization.save()
        open_invitations = Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)
        open_invitations.update(revoked_at=now)
        Reminder.objects.filter(organization=organization, superseded_at=None).update(superseded_at=now)
        for runs in (Removal.objects, ExemptionRun.objects):
            runs.filter(organization=organization, done_at=None).update(done_at=now, search="")
        Environment.objects.filter(organization=organization).delete()
        membership.tell(told, membership.record(organization, None, EventKind.DELETED, Origin()))
    return True


def forget_deleted() -> int:
    """Delete the rows and logs of organizations deleted before ``SECURITY_LOG_RETENTION``. Return their number."""
    old = timezone.now() - settings.SECURITY_LOG_RETENTION
    count = 0
    for organization in Organization.objects.filter(deleted_at__lt=old, deletion_at=None).order_by("deleted_at")[
        :BATCH
    ]:
        delete_in_batches(OrganizationEvent.objects.filter(organization=organization).order_by("pk"))
        organization.delete()
        count += 1
    return count

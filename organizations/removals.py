"""Removal of many members by a worker, in batches: a crash removes no one twice and forgets no one.

A run stores its position. Each batch removes its members and stores the new position in one transaction.
"""

from time import monotonic
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import outbox
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import member_list, membership
from organizations.models import MANAGERS, Membership, Organization, Removal

TASK = "organizations.remove_members"
BATCH = 200
RUNS_BATCH_SIZE = 100


class RemovalRunning(Refused):
    """A removal of the organization is not done yet."""

    message = _("Members of this organization are being removed already. Wait until this is done.")


def remove_chosen(actor: Membership, user_ids: list[UUID], origin: Origin) -> int:
    """Remove some members at once. Return their number. Raise ``RoleMissing``."""
    with transaction.atomic(durable=True):
        rows = Membership.objects.filter(organization=actor.organization_id, user__in=user_ids)
        return membership.remove_many(actor, list(rows.values_list("pk", flat=True)), origin)


def start(actor: Membership, *, state: str, search: str, origin: Origin) -> Removal:
    """Begin to remove all members who match. Raise ``RoleMissing`` or ``RemovalRunning``."""
    with transaction.atomic(durable=True):
        organization = membership.lock(actor.organization_id)
        if not membership.is_manager(organization, actor.user_id):
            raise membership.RoleMissing
        runs = Removal.objects.filter(organization=organization)
        if runs.filter(done_at=None).exists():
            raise RemovalRunning
        runs.delete()  # only the latest is shown
        rows = member_list.matching(organization, state=state, search=search)
        removal = Removal.objects.create(
            organization=organization,
            actor=actor.user,
            state=state,
            search=search,
            last=rows.aggregate(last=Max("pk"))["last"] or 0,
            total=rows.count(),
            ip_address=origin.ip_address,
            agent=origin.agent[:255],
        )
        transaction.on_commit(_call)
    return removal


def find(organization: Organization, removal_id: UUID) -> Removal | None:
    """Return a removal of the organization, or None."""
    return Removal.objects.filter(organization=organization, pk=removal_id).first()


def stop(organization: Organization, removal_id: UUID) -> None:
    """End a removal before it is done. Who is removed stays removed."""
    runs = Removal.objects.filter(organization=organization, pk=removal_id, done_at=None)
    runs.update(done_at=timezone.now())


def _call() -> None:
    outbox.call(TASK, queue=outbox.BULK_QUEUE)


def work() -> int:
    """Continue the open runs for ``outbox.BULK_TURN_SECONDS``, and queue another turn for the rest.

    Return the number of members removed.
    """
    deadline, count = monotonic() + outbox.BULK_TURN_SECONDS, 0
    for removal in Removal.objects.filter(done_at=None).order_by("created_at")[:RUNS_BATCH_SIZE]:
        while (removed := _next_batch(removal)) is not None:
            count += removed
            if monotonic() > deadline:
                _call()
                return count
    return count


def _next_batch(removal: Removal) -> int | None:
    """Remove one batch. Return the number removed, or None if the run is done or another worker has locked it."""
    with transaction.atomic(durable=True):
        locked = Removal.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=removal.pk, done_at=None)
        mine = locked.select_related("organization").first()
        if mine is None:
            return None
        actor = Membership.objects.filter(organization=mine.organization_id, user=mine.actor_id, role__in=MANAGERS)
        manager = actor.select_related("organization", "user").first()
        rows = member_list.matching(mine.organization, state=mine.state, search=mine.search)
        rows = rows.filter(pk__gt=mine.place, pk__lte=mine.last).order_by("pk")
        ids = list(rows.values_list("pk", flat=True)[:BATCH]) if manager else []
        removed = membership.remove_many(manager, ids, Origin(mine.ip_address, mine.agent)) if manager and ids else 0
        mine.place = ids[-1] if ids else mine.place
        mine.done += len(ids)
        mine.removed += removed
        mine.done_at = timezone.now() if len(ids) < BATCH else None
        mine.save(update_fields=["place", "done", "removed", "done_at"])
    return removed

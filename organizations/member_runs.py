"""Runs of a worker over many members, in batches: a crash acts on no member twice and forgets none.

A run stores its position. Each batch acts on its members and stores the new position in one transaction. One worker at
a time takes a run: several would only wait for each other's locks.

Locks come in one order, as everywhere: users, the organization, the run.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Generic, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from accounts import outbox
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import member_list, membership
from organizations.models import MemberRun, Membership, Organization, Role

BATCH = 200
RUNS_BATCH_SIZE = 100
LEASE = timedelta(seconds=15)  # longer than a turn and its last batch
Run = TypeVar("Run", bound=MemberRun)


@dataclass(frozen=True)
class Work(Generic[Run]):
    """A kind of run."""

    model: type[Run]
    task: str  # the name of the task that continues the open runs
    roles: Collection[Role]  # who may start one, and has to be one of them until its end
    # Acts on memberships by their ids, for the member who started the run; counts them on the run and returns their
    # number. The actor's row and the organization are locked. A refusal ends the run.
    act: Callable[[Run, Membership, list[int]], int]
    running: type[Refused]  # another run is not done yet


def start(work: Work[Run], actor: Membership, run: Run) -> Run:
    """Begin a run, given unsaved with its ``state`` and ``search``. The caller opens the transaction.

    The same asked for twice is one run. Raise ``RoleMissing`` or ``work.running``.
    """
    organization = membership.lock(actor.organization_id)
    if not Membership.objects.filter(pk=actor.pk, role__in=work.roles).exists():
        raise membership.RoleMissing
    runs = work.model._default_manager.filter(organization=organization)
    open_run = runs.filter(done_at=None).first()
    if open_run is not None:
        if open_run.is_same_as(run):
            return open_run
        raise work.running
    runs.delete()  # only the latest is shown
    rows = member_list.matching(organization, state=run.state, search=run.search)
    run.last = rows.aggregate(last=Max("pk"))["last"] or 0
    run.total = rows.count()
    run.save(force_insert=True)
    transaction.on_commit(lambda: call(work))
    return run


def find(work: Work[Run], organization: Organization, run_id: UUID) -> Run | None:
    """Return a run of the organization, or None."""
    return work.model._default_manager.filter(organization=organization, pk=run_id).first()


def stop(work: Work[Run], organization: Organization, run_id: UUID) -> None:
    """End a run before it is done. What it has done stays."""
    runs = work.model._default_manager.filter(organization=organization, pk=run_id, done_at=None)
    runs.update(done_at=timezone.now(), search="")


def call(work: Work[Run]) -> None:
    """Ask a worker to continue the open runs."""
    outbox.call(work.task, queue=outbox.BULK_QUEUE)


def go_on(work: Work[Run]) -> int:
    """Continue the open runs for ``outbox.BULK_TURN_SECONDS``, and queue another turn for the rest.

    Return the number of members acted on.
    """
    deadline, count = monotonic() + outbox.BULK_TURN_SECONDS, 0
    for run in _free(work).order_by("created_at")[:RUNS_BATCH_SIZE]:
        if not _free(work).filter(pk=run.pk).update(taken_until=timezone.now() + LEASE):
            continue  # another worker was faster
        number: int | None = 0
        try:
            while number is not None and monotonic() < deadline:
                number = next_batch(work, run)
                count += number or 0
        finally:
            work.model._default_manager.filter(pk=run.pk).update(taken_until=None)
        if number is not None:
            call(work)
            return count
    return count


def _free(work: Work[Run]) -> QuerySet[Run]:
    """Return the open runs that no worker has taken."""
    is_free = Q(taken_until=None) | Q(taken_until__lte=timezone.now())
    return work.model._default_manager.filter(is_free, done_at=None)


def next_batch(work: Work[Run], run: Run) -> int | None:
    """Act on one batch. Return the number of members, or None if the run is done."""
    with transaction.atomic(durable=True):
        if run.actor_id:
            User.objects.select_for_update(no_key=True).filter(pk=run.actor_id).first()
        membership.lock(run.organization_id)
        locked = work.model._default_manager.select_for_update(of=("self",)).filter(pk=run.pk, done_at=None)
        mine = locked.select_related("organization").first()
        if mine is None:
            return None
        ids = _ids_of_batch(mine)
        try:
            with transaction.atomic():
                number = work.act(mine, _actor(work, mine), ids) if ids else 0
        except Refused:  # the actor may not do this any more
            ids, number = [], 0
        mine.place = ids[-1] if ids else mine.place
        mine.done += len(ids)
        if len(ids) < BATCH:
            mine.done_at, mine.search = timezone.now(), ""
        mine.save()
    return number


def _ids_of_batch(run: MemberRun) -> list[int]:
    rows = member_list.matching(run.organization, state=run.state, search=run.search)
    rows = rows.filter(pk__gt=run.place, pk__lte=run.last).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:BATCH])


def _actor(work: Work[Run], run: Run) -> Membership:
    rows = Membership.objects.filter(organization=run.organization_id, user=run.actor_id, role__in=work.roles)
    actor = rows.select_related("organization", "user").first()
    if actor is None:
        raise membership.RoleMissing
    return actor


def origin_of(run: MemberRun) -> Origin:
    """Return where a run was asked for."""
    return Origin(run.ip_address, run.agent)

"""Reminding members who do not meet a policy: in batches that survive a crash without a loss or a second mail.

A run keeps how far it is. Each batch writes its mails and the new place in one transaction, so whoever goes on after a
crash begins just behind the last mail that was written. Sending them is the outbox's, in the bulk queue, which no
one-time password ever waits behind.
"""

from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import outbox
from accounts.models import Mail, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from mfa import modes
from organizations import accepted_modes, membership
from organizations.models import EventKind, Membership, Organization, Reminder

REMINDER = "organizations.reminder"
FAN_OUT_TASK = "organizations.fan_out_reminders"
PAUSE = timedelta(hours=24)
# Owners change their minds, and dates: nobody is written to about a policy that lived for a minute.
SETTLING_TIME = timedelta(minutes=5)
BATCH = 1000
RUNS_BATCH_SIZE = 100
MAX_RUNS_EXAMINED = 20
BEFORE = {Reminder.Kind.WEEK: timedelta(days=7), Reminder.Kind.DAY: timedelta(days=1)}


class RemindedLately(Refused):
    """Once a day is enough."""

    message = _("The members were reminded less than a day ago.")


def start(owner: Membership, origin: Origin) -> Reminder:
    """Remind everybody who does not meet the policy, once a day at most.

    Raises ``RemindedLately`` or ``RoleMissing``.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        organization = membership.lock(owner.organization_id)
        membership.still_owner(owner)
        if again_at := recently(organization)[1]:
            raise RemindedLately(retry_at=again_at)
        # This one says what an automatic one that has not begun would say.
        waiting = _runs(organization).filter(starts_at__gt=now).exclude(kind=Reminder.Kind.LIFTED)
        waiting.update(superseded_at=now)
        run = _new(organization, Reminder.Kind.OWNER)
        run.save()
        membership.record(organization, owner.user, EventKind.REMINDED, origin)
        transaction.on_commit(_call)
    return run


def _new(organization: Organization, kind: "Reminder.Kind") -> Reminder:
    """Make, without saving it, a run about the policy of now."""
    return Reminder(
        organization=organization,
        kind=kind,
        required_at=organization.mfa_required_at,
        counting=organization.accepted_modes,
    )


def _runs(organization: Organization) -> QuerySet[Reminder]:
    """Give the runs about the policy of now."""
    return Reminder.objects.filter(organization=organization, superseded_at=None)


def _call() -> None:
    outbox.call(FAN_OUT_TASK, queue=outbox.BULK_QUEUE)


def recently(organization: Organization) -> tuple[Reminder | None, datetime | None]:
    """Give the last run that writes or wrote mails, and from when an owner may begin one, None for now. One query."""
    now = timezone.now()
    all_runs = Reminder.objects.filter(organization=organization, starts_at__lte=now)
    runs = list(all_runs.exclude(kind=Reminder.Kind.LIFTED).order_by("-created_at")[:MAX_RUNS_EXAMINED])
    by_owners = [run.created_at + PAUSE for run in runs if run.kind == Reminder.Kind.OWNER]
    again_at = by_owners[0] if by_owners and now < by_owners[0] else None
    return (runs[0] if runs else None), again_at


def follow(organization: Organization, *, counted: str) -> None:
    """Tell the members who are concerned of a policy that was changed just now, when it has settled.

    What was still to be told of the policy before, of which the modes ``counted``, is dropped. That one is lifted is
    told to those who were told of it and did not meet it.
    """
    now = timezone.now()
    _runs(organization).update(superseded_at=now)
    if organization.mfa_required_at is not None:
        kind = Reminder.Kind.REQUIRED if organization.mfa_required else Reminder.Kind.ANNOUNCED
        run = _new(organization, kind)
    else:
        run = _new(organization, Reminder.Kind.LIFTED)
        run.counting = counted
    run.starts_at = now + SETTLING_TIME
    run.save()


def tell(organization: Organization, user: User) -> None:
    """Tell one member of the policy of now, which did not concern them until this moment."""
    run = _new(organization, Reminder.Kind.ONE)
    run.done_at, run.mails = timezone.now(), 1
    run.save()
    outbox.post_in_bulk([Mail(task=REMINDER, user=user, about=str(run.pk))])


def begin_due() -> int:
    """Begin the runs that a coming date asks for, a week and a day before it. Gives how many.

    None where the members have heard of it since that moment, by an announcement at short notice or by an owner.
    """
    now = timezone.now()
    count = 0
    for kind, before in BEFORE.items():
        soon = Organization.objects.filter(mfa_required_at__gt=now, mfa_required_at__lte=now + before)
        for organization in soon.order_by("pk").iterator(chunk_size=BATCH):
            required_at = organization.mfa_required_at
            if required_at and not _heard_since(organization, required_at - before):
                count += len(Reminder.objects.bulk_create([_new(organization, kind)], ignore_conflicts=True))
    return count


def _heard_since(organization: Organization, moment: datetime) -> bool:
    runs = _runs(organization).exclude(kind=Reminder.Kind.ONE)
    return runs.filter(starts_at__gte=moment).exists()


def fan_out() -> int:
    """Write the mails of all open runs, a batch a transaction, for a moment; what is left is called for again.

    Gives how many were written.
    """
    deadline, count = monotonic() + outbox.TURN_SECONDS, 0
    runs = Reminder.objects.filter(done_at=None, starts_at__lte=timezone.now()).order_by("starts_at")
    for run in runs[:RUNS_BATCH_SIZE]:
        while (written := _next_batch(run)) is not None:
            count += written
            if monotonic() > deadline:
                _call()
                return count
    return count


def _next_batch(run: Reminder) -> int | None:
    """Write one batch of a run; None when there is nothing left to do or somebody else is at it."""
    with transaction.atomic(durable=True):
        locked = Reminder.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=run.pk, done_at=None)
        mine = locked.select_related("organization").first()
        if mine is None:
            return None
        rows = [] if mine.superseded_at else _left(mine)
        outbox.post_in_bulk([Mail(task=REMINDER, user_id=user, about=str(mine.pk)) for _pk, user in rows])
        mine.place = rows[-1][0] if rows else mine.place
        mine.done_at = timezone.now() if len(rows) < BATCH else None
        mine.mails += len(rows)
        mine.save(update_fields=["place", "mails", "done_at"])
    return len(rows)


def _concerns_from(run: Reminder) -> datetime:
    """Say from when the policy asks: an exemption that ends before a date spares nobody on that date."""
    now = timezone.now()
    return max(run.required_at or now, now)


def _left(run: Reminder) -> list[tuple[int, UUID]]:
    missing = [state for state in modes.combinations() if not accepted_modes.are_met_by(run.counting, state.split())]
    members = Membership.objects.filter(organization=run.organization_id, pk__gt=run.place, modes__in=missing)
    if run.kind == Reminder.Kind.LIFTED:
        members = members.filter(Exists(_told(run, OuterRef("user"))))
    asked = members.exclude(exempt_until__gt=_concerns_from(run))
    return list(asked.order_by("pk").values_list("pk", "user_id")[:BATCH])


def _told(run: Reminder, user: "User | OuterRef") -> QuerySet[Mail]:
    """Give the mails that told ``user`` of a policy which is lifted now, since the last time that one was."""
    runs = Reminder.objects.filter(organization=run.organization_id, created_at__lt=run.created_at)
    lifted = runs.filter(kind=Reminder.Kind.LIFTED, mails__gt=0).order_by("-created_at").first()
    about = runs.filter(required_at__isnull=False, mails__gt=0)
    if lifted:
        about = about.filter(created_at__gt=lifted.created_at)
    ids = [str(pk) for pk in about.order_by("-created_at").values_list("pk", flat=True)[:RUNS_BATCH_SIZE]]
    return Mail.objects.filter(about__in=ids, user=user, task=REMINDER, state=Mail.State.SENT)  # type: ignore[misc]


def is_wanted(run: Reminder, user: User) -> bool:
    """Whether a reminder would still be of use to this member (SR-50)."""
    if run.superseded_at or not user.is_active:
        return False
    member = Membership.objects.filter(organization=run.organization, user=user).first()
    if member is None or member.is_exempt_at(_concerns_from(run)):
        return False
    return not accepted_modes.are_met_by(run.counting, user.modes)

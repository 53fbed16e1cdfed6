"""Reminding members who do not meet a policy: in batches that survive a crash without a loss or a second mail.

A run keeps how far it is. Each batch writes its mails and the new place in one transaction, so whoever goes on after a
crash begins just behind the last mail that was written. Sending them is the outbox's, in the bulk queue, which no
one-time password ever waits behind.
"""

from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import outbox
from accounts.models import Mail, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import membership, overview
from organizations.models import EventKind, Membership, Organization, Reminder

MAIL_TASK = "organizations.send_reminder"
FAN_OUT_TASK = "organizations.fan_out_reminders"
PAUSE = timedelta(hours=24)
BATCH = 1000
RUNS_AT_ONCE = 100
BEFORE = {Reminder.Kind.WEEK: timedelta(days=7), Reminder.Kind.DAY: timedelta(days=1)}


class RemindedLately(Refused):
    """Once a day is enough."""

    message = _("The members were reminded less than a day ago.")


def start(owner: Membership, origin: Origin) -> Reminder:
    """Remind everybody who does not meet the policy, once a day at most. Raises ``RemindedLately``."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        organization = Organization.objects.select_for_update().get(pk=owner.organization_id)
        last = last_run(organization)
        if last and now < again_at(last):
            raise RemindedLately(retry_at=again_at(last))
        run = Reminder.objects.create(organization=organization, kind=Reminder.Kind.OWNER)
        membership.record(organization, owner.user, EventKind.REMINDED, origin)
        transaction.on_commit(_call)
    return run


def _call() -> None:
    outbox.call(FAN_OUT_TASK, queue=outbox.BULK_QUEUE)


def last_run(organization: Organization) -> Reminder | None:
    """Give the last run that an owner started."""
    runs = Reminder.objects.filter(organization=organization, kind=Reminder.Kind.OWNER)
    return runs.order_by("-created_at").first()


def again_at(run: Reminder) -> datetime:
    """Say when the next run of an owner may begin."""
    return run.created_at + PAUSE


def begin_due() -> int:
    """Begin the runs that a coming date asks for: at its announcement, a week and a day before. Gives how many."""
    now = timezone.now()
    count = 0
    for kind, before in BEFORE.items():
        soon = Organization.objects.filter(mfa_required_at__gt=now, mfa_required_at__lte=now + before)
        for organization in soon.order_by("pk").iterator(chunk_size=BATCH):
            count += _begin_once(organization, kind)
    return count


def announce(organization: Organization) -> None:
    """Tell the members of a date that was set just now."""
    _begin_once(organization, Reminder.Kind.ANNOUNCED)


def _begin_once(organization: Organization, kind: "Reminder.Kind") -> bool:
    _run, is_new = Reminder.objects.get_or_create(
        organization=organization, kind=kind, required_at=organization.mfa_required_at
    )
    return is_new


def fan_out() -> int:
    """Write the mails of all open runs, a batch a transaction, for a moment; what is left is called for again.

    Gives how many were written.
    """
    deadline, count = monotonic() + outbox.TURN_SECONDS, 0
    for run in Reminder.objects.filter(done_at=None).order_by("created_at")[:RUNS_AT_ONCE]:
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
        rows = _left(mine)
        outbox.post_in_bulk([Mail(task=MAIL_TASK, user_id=user, about=str(mine.pk)) for _pk, user in rows])
        mine.place = rows[-1][0] if rows else mine.place
        mine.done_at = timezone.now() if len(rows) < BATCH else None
        mine.mails += len(rows)
        mine.save(update_fields=["place", "mails", "done_at"])
    return len(rows)


def _left(run: Reminder) -> list[tuple[int, UUID]]:
    now, organization = timezone.now(), run.organization
    missing = overview.states_lacking(organization)
    members = Membership.objects.filter(organization=organization, pk__gt=run.place, modes__in=missing)
    return list(members.exclude(exempt_until__gt=now).order_by("pk").values_list("pk", "user_id")[:BATCH])


def is_wanted(run: Reminder, user: User) -> bool:
    """Whether a reminder would still be of use to this member (SR-50)."""
    if run.required_at is not None and run.required_at != run.organization.mfa_required_at:
        return False  # it is about a date that was taken back
    member = Membership.objects.filter(organization=run.organization, user=user).first()
    return member is not None and not member.is_exempt and not run.organization.is_met_by(user.modes)

"""Reminders to members who do not meet a policy, written in batches: a crash loses no mail and repeats none.

A run stores its position. Each batch writes its mails and the new position in one transaction, so the next worker
continues after the last mail that was written. The outbox sends the mails by the bulk queue, which does not delay
one-time passwords.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic
from uuid import UUID

from django.db import transaction
from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Subquery, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import languages, mail_retention, notices, outbox, throttles
from accounts.limits import Limit
from accounts.models import Mail, User
from accounts.notices import Notice
from accounts.refusals import Refused
from accounts.security_log import Origin
from mfa import modes
from organizations import accepted_modes, member_list, membership
from organizations.models import EventKind, Membership, Organization, Reminder

REMINDER = "organizations.reminder"
FAN_OUT_TASK = "organizations.fan_out_reminders"
BY_OWNER = Limit(what="reminders by owners", per="organization", tries=1, window=timedelta(hours=24))
CHOSEN = Limit(
    what="reminders by owners", per="organization and member", key="reminder", tries=1, window=timedelta(hours=24)
)
# Members are mailed only about a policy that has lasted this long: owners may correct a mistake or a date.
SETTLING_TIME = timedelta(minutes=5)
BATCH = 1000
RUNS_BATCH_SIZE = 100
# A member can turn these off: what they say, the mails about the change of the policy have said before.
OPTIONAL = frozenset({Reminder.Kind.OWNER, Reminder.Kind.CHOSEN, Reminder.Kind.WEEK, Reminder.Kind.DAY})
# After a change of the policy, not on an owner's or a date's behalf.
TELLS_CHANGE = frozenset({Reminder.Kind.REQUIRED, Reminder.Kind.ANNOUNCED, Reminder.Kind.LIFTED})
BEFORE = {Reminder.Kind.WEEK: timedelta(days=7), Reminder.Kind.DAY: timedelta(days=1)}


class RemindersRunning(Refused):
    """A reminder to members who match a search is not written yet."""

    message = _("We are still sending your last reminder. Wait until this is done.")


class RemindedLately(Refused):
    """An owner has reminded the members lately."""

    message = _("You can remind members once a day. The last reminder was less than a day ago.")


def start(owner: Membership, origin: Origin) -> Reminder:
    """Remind all members who do not meet the policy, at most once a day.

    Raise ``RemindedLately`` or ``RoleMissing``.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        organization = membership.lock(owner.organization_id)
        membership.still_owner(owner)
        if again_at := history_of(organization).again_at:
            raise RemindedLately(retry_at=again_at)
        # This run replaces automatic ones that have not started.
        waiting = _runs(organization).filter(starts_at__gt=now).exclude(kind=Reminder.Kind.LIFTED)
        waiting.update(superseded_at=now)
        run = _new(organization, Reminder.Kind.OWNER)
        run.save()
        membership.record(organization, owner.user, EventKind.REMINDED, origin, subject=_up_to(_asked(run).count()))
        transaction.on_commit(_call)
    return run


def _up_to(number: int) -> str:
    """Return what the log says of a reminder whose members are not chosen one by one."""
    with languages.of(None):
        return ngettext("up to %(n)d member", "up to %(n)d members", number) % {"n": number}


def _new(organization: Organization, kind: "Reminder.Kind") -> Reminder:
    """Return an unsaved run about the current policy."""
    return Reminder(
        organization=organization,
        kind=kind,
        required_at=organization.mfa_required_at,
        counting=organization.accepted_modes,
    )


def _runs(organization: Organization) -> QuerySet[Reminder]:
    """Return the runs about the current policy."""
    return Reminder.objects.filter(organization=organization, superseded_at=None)


def _call() -> None:
    outbox.call(FAN_OUT_TASK, queue=outbox.BULK_QUEUE)


@dataclass(frozen=True)
class History:
    """The last reminder of an organization, and when an owner may send the next one."""

    last: Reminder | None
    again_at: datetime | None  # None means now


def history_of(organization: Organization) -> History:
    """Return the last run that has started, and when an owner may start one. One query."""
    now = timezone.now()
    runs = Reminder.objects.filter(organization=organization, starts_at__lte=now).order_by("-created_at")
    by_owner = runs.filter(kind=Reminder.Kind.OWNER, created_at__gt=now - BY_OWNER.interval)
    started = runs.exclude(kind=Reminder.Kind.LIFTED)
    last = started.annotate(by_owner_at=Subquery(by_owner.values("created_at")[:1])).first()
    owner_at: datetime | None = vars(last)["by_owner_at"] if last else None
    return History(last=last, again_at=owner_at + BY_OWNER.interval if owner_at else None)


def follow(organization: Organization, *, accepted_before: str) -> None:
    """Schedule mails about a policy that has just been changed, for when ``SETTLING_TIME`` has passed.

    Mails about the previous policy that were not written yet are dropped. If the requirement is lifted, only members
    who were told of it and did not meet it are mailed; ``accepted_before`` are the modes that it accepted.
    """
    now = timezone.now()
    _runs(organization).update(superseded_at=now)
    if organization.mfa_required_at is not None:
        kind = Reminder.Kind.REQUIRED if organization.mfa_required else Reminder.Kind.ANNOUNCED
        run = _new(organization, kind)
    else:
        run = _new(organization, Reminder.Kind.LIFTED)
        run.counting = accepted_before
    run.starts_at = now + SETTLING_TIME
    run.save()


def tell(organization: Organization, user: User) -> None:
    """Mail the current policy to one member whose exemption has just ended."""
    run = _new(organization, Reminder.Kind.ONE)
    run.done_at, run.mails = timezone.now(), 1
    run.save()
    outbox.post_in_bulk([Mail(task=REMINDER, user=user, about=str(run.pk))])


def remind_chosen(owner: Membership, user_ids: Collection[UUID], origin: Origin) -> int:
    """Remind those of the chosen members who do not meet the policy, each at most once a day. Return their number.

    Raise ``RoleMissing``.
    """
    with transaction.atomic(durable=True):
        organization = membership.lock(owner.organization_id)
        membership.still_owner(owner)
        run = _new(organization, Reminder.Kind.CHOSEN)
        rows = _asked(run).filter(user__in=user_ids)
        users = _not_lately(organization.pk, list(rows.order_by("pk").values_list("user_id", flat=True)))
        if users:
            run.done_at, run.mails = timezone.now(), len(users)
            run.save()
            outbox.post_in_bulk([Mail(task=REMINDER, user_id=user, about=str(run.pk)) for user in users])
            membership.record(organization, owner.user, EventKind.REMINDED, origin, subject=str(len(users)))
    return len(users)


def start_matching(owner: Membership, *, state: str, search: str, origin: Origin) -> int:
    """Remind all who match and do not meet the policy, each at most once a day. Return their number.

    ``state`` and ``search`` are as for ``member_list.matching``. The same asked for twice is one run. Raise
    ``RoleMissing`` or ``RemindersRunning``.
    """
    with transaction.atomic(durable=True):
        organization = membership.lock(owner.organization_id)
        membership.still_owner(owner)
        run = _new(organization, Reminder.Kind.CHOSEN)
        run.state, run.search = state, search
        number = _asked(run).exclude(_chosen_lately(organization)).count()
        open_run = _runs(organization).filter(kind=Reminder.Kind.CHOSEN, done_at=None).first()
        if open_run is not None and (open_run.state, open_run.search) != (state, search):
            raise RemindersRunning
        if number and open_run is None:
            run.save()
            membership.record(organization, owner.user, EventKind.REMINDED, origin, subject=_up_to(number))
            transaction.on_commit(_call)
    return number


class Answer(StrEnum):
    """What a reminder does about a member: it mails them, or why not."""

    MAILED = "mailed"
    READY = "ready"  # meets the policy
    EXEMPT = "exempt"
    DISABLED = "disabled"
    UNREACHABLE = "unreachable"  # their mail does not arrive
    MUTED = "muted"
    LATELY = "lately"  # an owner chose them within a day


def preview(
    organization: Organization, *, state: str = "all", search: str = "", users: Collection[UUID] | None = None
) -> dict[str, int]:
    """Return the numbers of members by ``Answer`` if an owner reminded ``users``, or all who match, now.

    ``state`` and ``search`` are as for ``member_list.matching``. Two queries.
    """
    rows = member_list.matching(organization, state=state, search=search)
    if users is not None:
        rows = rows.filter(user__in=users)
    reasons = [*_left_out(_new(organization, Reminder.Kind.CHOSEN)), (Answer.LATELY, _chosen_lately(organization))]
    answer = Case(
        *(When(which, then=Value(reason)) for reason, which in reasons),
        default=Value(Answer.MAILED),
        output_field=CharField(),
    )
    return dict(rows.annotate(answer=answer).order_by().values_list("answer").annotate(number=Count("pk")))


def _chosen_lately(organization: Organization) -> Q:
    """Return the condition that an owner has chosen a member within a day. One query."""
    since = timezone.now() - CHOSEN.interval
    runs = Reminder.objects.filter(organization=organization, kind=Reminder.Kind.CHOSEN)
    recent = runs.filter(created_at__gt=since - timedelta(hours=1)).order_by("-created_at")  # its mails come later
    ids = [str(pk) for pk in recent.values_list("pk", flat=True)[:BATCH]]
    return Q(Exists(Mail.objects.filter(about__in=ids, user=OuterRef("user"), created_at__gt=since)))


def _not_lately(organization_id: UUID, users: list[UUID]) -> list[UUID]:
    """Return the users whom no owner chose within a day, and count this choice."""
    lately = throttles.take_each({str(user): [CHOSEN.of(organization_id, user)] for user in users})
    return [user for user in users if str(user) not in lately]


def begin_due() -> int:
    """Create the runs that are due a week and a day before a policy starts. Return the number created.

    No run is created if another mail since then, an announcement or an owner's reminder, has said the same.
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
    runs = _runs(organization).exclude(kind__in=[Reminder.Kind.ONE, Reminder.Kind.CHOSEN])
    return runs.filter(starts_at__gte=moment).exists()


def fan_out() -> int:
    """Write mails of the open runs in batches, for ``outbox.BULK_TURN_SECONDS``, and queue another turn for the rest.

    Return the number of mails written.
    """
    deadline, count = monotonic() + outbox.BULK_TURN_SECONDS, 0
    runs = Reminder.objects.filter(done_at=None, starts_at__lte=timezone.now()).order_by("starts_at")
    for run in runs[:RUNS_BATCH_SIZE]:
        while (written := _next_batch(run)) is not None:
            count += written
            if monotonic() > deadline:
                _call()
                return count
    return count


def _next_batch(run: Reminder) -> int | None:
    """Write one batch of a run. Return its size, or None if the run is done or another worker has locked it."""
    with transaction.atomic(durable=True):
        locked = Reminder.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=run.pk, done_at=None)
        mine = locked.select_related("organization").first()
        if mine is None:
            return None
        rows = [] if mine.superseded_at else _left(mine)
        users = [user for _pk, user in rows]
        if mine.kind == Reminder.Kind.CHOSEN:
            users = _not_lately(mine.organization_id, users)
        outbox.post_in_bulk([Mail(task=REMINDER, user_id=user, about=str(mine.pk)) for user in users])
        mine.place = rows[-1][0] if rows else mine.place
        if len(rows) < BATCH:
            mine.done_at, mine.search = timezone.now(), ""  # a search may quote an address (SR-63)
        mine.mails += len(users)
        mine.save(update_fields=["place", "mails", "done_at", "search"])
    return len(users)


def _concerns_from(run: Reminder) -> datetime:
    """Return when the policy of a run applies; members whose exemption ends by then are not exempt from it."""
    now = timezone.now()
    return max(run.required_at or now, now)


def _left(run: Reminder) -> list[tuple[int, UUID]]:
    left = _asked(run).filter(pk__gt=run.place).order_by("pk")
    return list(left.values_list("pk", "user_id")[:BATCH])


def _asked(run: Reminder) -> QuerySet[Membership]:
    """Return all members whom a run mails."""
    members = member_list.matching(run.organization, state=run.state, search=run.search)
    if run.kind == Reminder.Kind.LIFTED:
        members = members.filter(_was_told(run))
    for _reason, which in _left_out(run):
        members = members.exclude(which)
    return members


def _left_out(run: Reminder) -> list[tuple[Answer, Q]]:
    """Return why a run does not mail some members, with the condition of each reason."""
    lacking = [state for state in modes.combinations() if not accepted_modes.are_met_by(run.counting, state.split())]
    reasons = [
        (Answer.READY, ~Q(modes__in=lacking)),
        (Answer.EXEMPT, Q(exempt_until__gt=_concerns_from(run))),
        (Answer.DISABLED, Q(user__is_active=False)),
        # Mail to an address that returns it would only return again; lists of members say who they are.
        (Answer.UNREACHABLE, Q(user__mailbox_failed_at__isnull=False)),
    ]
    if run.kind in OPTIONAL:
        reasons.append((Answer.MUTED, notices.is_muted(Notice.REMINDERS, "user__")))
    return reasons


def has_told_members(organization: Organization) -> bool:
    """Return whether mails about a requirement were written for members since the last one was lifted. Two queries."""
    runs = Reminder.objects.filter(organization=organization, mails__gt=0)
    about = runs.filter(required_at__isnull=False)
    if lifted := runs.filter(kind=Reminder.Kind.LIFTED).order_by("-created_at").first():
        about = about.filter(created_at__gt=lifted.created_at)
    return about.exists()


def _was_told(run: Reminder) -> Q:
    """Return the condition that a member was told of the policy that is now lifted, since the previous lifting."""
    runs = Reminder.objects.filter(organization=run.organization_id, created_at__lt=run.created_at)
    lifted = runs.filter(kind=Reminder.Kind.LIFTED, mails__gt=0).order_by("-created_at").first()
    about = runs.filter(required_at__isnull=False, mails__gt=0)
    kept = Q(reminded_at__lt=run.created_at)
    if lifted:
        about = about.filter(created_at__gt=lifted.created_at)
        kept &= Q(reminded_at__gt=lifted.created_at)
    ids = [str(pk) for pk in about.order_by("-created_at").values_list("pk", flat=True)[:RUNS_BATCH_SIZE]]
    mails = Mail.objects.filter(about__in=ids, user=OuterRef("user"), task=REMINDER, state=Mail.State.SENT)  # type: ignore[misc]
    return Q(Exists(mails)) | kept


@mail_retention.before_deletion
def keep_who_was_told(mail_ids: list[UUID]) -> None:
    """Note whom these mails told of a policy: after months, they are still told that it is lifted."""
    mails = Mail.objects.filter(pk__in=mail_ids, task=REMINDER, state=Mail.State.SENT)
    users: dict[str, list[UUID]] = {}
    for about, user in mails.values_list("about", "user"):
        if user:
            users.setdefault(about, []).append(user)
    for run in Reminder.objects.filter(pk__in=users, required_at__isnull=False):
        members = Membership.objects.filter(organization=run.organization_id, user__in=users[str(run.pk)])
        earlier = Q(reminded_at=None) | Q(reminded_at__lt=run.created_at)
        members.filter(earlier).update(reminded_at=run.created_at)


def is_wanted(run: Reminder, user: User) -> bool:
    """Return whether a reminder still applies to this member (SR-50)."""
    if run.superseded_at or not user.is_active or user.mailbox_failed_at:
        return False
    if run.kind in OPTIONAL and not notices.are_wanted(user, Notice.REMINDERS):
        return False
    member = Membership.objects.filter(organization=run.organization, user=user).first()
    if member is None or member.is_exempt_at(_concerns_from(run)):
        return False
    return not accepted_modes.are_met_by(run.counting, user.modes)

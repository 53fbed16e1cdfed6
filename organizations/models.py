"""Organizations, their members, invitations, policies, environments and security logs."""

import re
import uuid
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Channel, User
from organizations import accepted_modes

# Names that need no quotes on a command line.
NAME_IN_COMMANDS = r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z"


class Organization(models.Model):
    """A group of people with one policy. MFA is required of every member from ``mfa_required_at`` on."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=128)
    mfa_required_at = models.DateTimeField(null=True, editable=False)
    accepted_modes = models.CharField(max_length=16, blank=True, default="", editable=False)
    # Until then the policy is rehearsed: no one is blocked, and hits are recorded.
    rehearsal_until = models.DateTimeField(null=True, editable=False)
    # Members cannot skip the one-time password in remembered browsers (SR-37).
    remembering_forbidden = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When its deletion begins; until then owners can undo it. Blank again when everything but the log is deleted.
    deletion_at = models.DateTimeField(null=True, editable=False)
    # A deleted organization has no members. Its row stays as long as its security log (SR-53).
    deleted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("organization")
        verbose_name_plural = _("organizations")
        indexes: ClassVar = [
            models.Index(fields=["deletion_at"], condition=~models.Q(deletion_at=None), name="organizations_to_delete"),
            models.Index(fields=["deleted_at"], condition=~models.Q(deleted_at=None), name="organizations_deleted"),
            models.Index(
                fields=["mfa_required_at"], condition=~models.Q(mfa_required_at=None), name="organizations_by_date"
            ),
            models.Index(
                fields=["rehearsal_until"], condition=~models.Q(rehearsal_until=None), name="organizations_rehearsing"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the path of the organization's page."""
        return reverse("organizations:organization", args=[self.pk])

    @property
    def activation_path(self) -> str:
        """Return the path on which a member activates a mode that the organization accepts."""
        return self._activation_path()

    @property
    def activation_path_and_back(self) -> str:
        """Return the path on which an owner activates an accepted mode, then comes back to the organization's page."""
        return self._activation_path(next=self.get_absolute_url())

    def _activation_path(self, **query: str) -> str:
        accepted = {"type": self.accepted_modes} if self.accepted_modes else {}
        return reverse("mfa:activate", query={**accepted, **query} or None)

    @property
    def accepted_modes_label(self) -> str:
        """Return what people read for the accepted modes."""
        return accepted_modes.label_of(self.accepted_modes)

    @property
    def mfa_required(self) -> bool:
        """Return whether MFA is required of every member now."""
        return self.mfa_required_at is not None and self.mfa_required_at <= timezone.now()

    @property
    def mfa_announced(self) -> bool:
        """Return whether MFA will be required from a date in the future."""
        return self.mfa_required_at is not None and not self.mfa_required

    @property
    def days_left(self) -> int:
        """Return the number of days until the announced date, rounded up; 0 in its last 24 hours, or without a date."""
        left = self.mfa_required_at - timezone.now() if self.mfa_required_at else timedelta()
        return -(-left // timedelta(days=1)) if left >= timedelta(days=1) else 0

    @property
    def is_rehearsing(self) -> bool:
        """Return whether the policy is being rehearsed."""
        return not self.mfa_required and self.rehearsal_until is not None and timezone.now() < self.rehearsal_until

    def is_met_by(self, modes: Collection[str]) -> bool:
        """Return whether a user with these modes meets the policy, in force or not."""
        return accepted_modes.are_met_by(self.accepted_modes, modes)


class Role(models.TextChoices):
    """The role of a member, which decides what they may do."""

    OWNER = "owner", _("owner")
    ADMIN = "admin", _("admin")
    MEMBER = "member", _("member")

    @property
    def rank(self) -> int:
        """Return the rank of the role: members grant and remove only roles up to their own rank."""
        return {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1}[self]


EVERYBODY = frozenset(Role)
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})
OWNERS = frozenset({Role.OWNER})


class Membership(models.Model):
    """A user's membership in an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The end and the reason of a service account's exemption from the policy.
    exempt_until = models.DateTimeField(null=True, editable=False)
    exempt_reason = models.CharField(max_length=200, blank=True, default="", editable=False)
    # The reminder run of the latest mail about a policy that was sent and, since, deleted: when the run was created.
    reminded_at = models.DateTimeField(null=True, editable=False)
    # Copies of the user's columns, read only by lists and counts; triggers update them (organizations.triggers).
    modes = models.CharField(max_length=64, blank=True, default="", editable=False)
    email_key = models.CharField(max_length=254, blank=True, default="", editable=False)
    # Email and name in lower case, for searches by any part; PostgreSQL has an index for them (search_index).
    search_key = models.CharField(max_length=400, blank=True, default="", db_default="", editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "organization"], name="member_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="role_is_a_role"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organization", "email_key"], name="members_by_address"),
            models.Index(
                fields=["organization", "email_key"],
                name="members_search",
                opclasses=["uuid_ops", "varchar_pattern_ops"],  # PostgreSQL: finds by the first letters
            ),
            models.Index(fields=["organization", "modes", "email_key"], name="members_by_modes"),
            models.Index(fields=["organization", "id"], name="members_in_order"),
            models.Index(fields=["organization", "role", "email_key"], name="members_by_role"),
            models.Index(fields=["organization"], condition=~models.Q(exempt_until=None), name="members_exempt"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.organization_id} as {self.role}"

    @property
    def is_exempt(self) -> bool:
        """Return whether this member is exempt from the policy now."""
        return self.is_exempt_at(timezone.now())

    def is_exempt_at(self, moment: datetime) -> bool:
        """Return whether this member is exempt from the policy at a moment."""
        return self.exempt_until is not None and moment < self.exempt_until


class MemberCount(models.Model):
    """The number of members of an organization with the same modes. Only triggers write it."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    modes = models.CharField(max_length=64, blank=True)
    count = models.IntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "modes"], name="count_once")]

    def __str__(self) -> str:
        return f"{self.count} with {self.modes or 'none'}"


class Reminder(models.Model):
    """A run of mails to the members who do not meet the policy, with its progress."""

    class Kind(models.TextChoices):
        OWNER = "owner"  # started by an owner
        REQUIRED = "required"  # MFA is required now, or fewer modes are accepted
        ANNOUNCED = "announced"
        WEEK = "week"  # a week before the date
        DAY = "day"
        ONE = "one"  # one member whose exemption has ended
        LIFTED = "lifted"  # MFA is no longer required
        CHOSEN = "chosen"  # members whom an owner chose, one by one or by a search

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    # The policy that the mails are about: its start date and accepted modes.
    required_at = models.DateTimeField(null=True)
    counting = models.CharField(max_length=16, blank=True, default="")
    superseded_at = models.DateTimeField(null=True)  # the policy was changed: no further mails about this one
    # Limits a run to members who match, as ``member_list.matching`` takes them. Blank again when the run is over.
    state = models.CharField(max_length=64, blank=True, default="", db_default="")
    search = models.CharField(max_length=254, blank=True, default="", db_default="")
    place = models.BigIntegerField(default=0)  # id of the last membership whose mail was written
    mails = models.PositiveIntegerField(default=0)  # number of mails written
    created_at = models.DateTimeField(default=timezone.now)
    starts_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "kind", "required_at"],
                condition=models.Q(kind__in=["week", "day"], superseded_at=None),
                name="reminded_once_a_date",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["starts_at"], condition=models.Q(done_at=None), name="reminders_to_write"),
            models.Index(fields=["organization", "-created_at"], name="reminders_of_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} reminder of {self.organization_id}"


SAME_RUN = ("organization_id", "actor_id", "state", "search")


class MemberRun(models.Model):
    """A worker's run over all members who match a search, with its progress."""

    FURTHER: ClassVar[tuple[str, ...]] = ()  # what else tells a run from another

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    # As ``member_list.matching`` takes them.
    state = models.CharField(max_length=64)
    search = models.CharField(max_length=254, blank=True)  # blank again when the run is over: it may quote an address
    last = models.BigIntegerField()  # id of the newest membership when the run began: later members are left alone
    place = models.BigIntegerField(default=0)  # id of the last membership that was looked at
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)  # number of members looked at
    ip_address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True)
    taken_until = models.DateTimeField(null=True)  # a worker continues it; one that was killed loses it then

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.done} of {self.total} in {self.organization_id}"

    def is_same_as(self, other: "MemberRun") -> bool:
        """Return whether another run was asked for by the same user with the same words."""
        names = (*SAME_RUN, *self.FURTHER)
        return all(getattr(self, name) == getattr(other, name) for name in names)


class Removal(MemberRun):
    """A run that removes all members who match a search."""

    removed = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization"], condition=models.Q(done_at=None), name="one_open_removal"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=models.Q(done_at=None), name="removals_to_do"),
        ]

    @property
    def kept(self) -> int:
        """Return the number of members who were looked at and stay."""
        return self.done - self.removed


class ExemptionRun(MemberRun):
    """A run that exempts all members who match a search, with one reason and one end."""

    FURTHER = ("until", "reason")

    until = models.DateTimeField()
    reason = models.CharField(max_length=200)
    exempted = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(done_at=None), name="one_open_exemption_run"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=models.Q(done_at=None), name="exemption_runs_to_do"),
        ]

    @property
    def kept(self) -> int:
        """Return the number of members who were looked at and are not changed."""
        return self.done - self.exempted


class ComplianceDay(models.Model):
    """The number of members who met the policy on a day."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    members = models.PositiveIntegerField()
    ready = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "day"], name="one_count_a_day")]

    def __str__(self) -> str:
        return f"{self.day}: {self.ready} of {self.members}"

    @property
    def share(self) -> float:
        """Return the share of the members who met the policy, 0 to 1."""
        return self.ready / self.members if self.members else 1.0

    @property
    def percent(self) -> int:
        """Return the share in percent, rounded down: 100 means all."""
        return 100 * self.ready // self.members if self.members else 100


class RehearsalHit(models.Model):
    """A member whom a rehearsed policy would have blocked."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    count = models.PositiveIntegerField(default=1)
    ip_address = models.GenericIPAddressField(null=True)
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "user", "channel"], name="hit_once_a_channel"),
        ]
        indexes: ClassVar = [models.Index(fields=["organization", "-last_at"], name="hits_of_organization")]

    def __str__(self) -> str:
        return f"{self.user_id} by {self.channel}"


class Invitation(models.Model):
    """An invitation of one email to join, once. Its code is known only to the mail (SR-43)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    sender = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    email = models.EmailField(max_length=254)
    email_key = models.CharField(max_length=254)
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    digest = models.CharField(max_length=64, unique=True)  # by which a code finds its invitation
    sealed_code = models.TextField()  # encrypted, for the worker that writes the mail
    link_path = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "email_key"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_open_invitation",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["email_key"], name="invitations_to_address")]

    def __str__(self) -> str:
        return f"invitation {self.pk}"

    def is_open(self, now: datetime) -> bool:
        """Return whether the invitation can still be accepted."""
        return self.accepted_at is None and self.revoked_at is None and now < self.expires_at

    @property
    def subject(self) -> str:
        """Return what events are about that send or accept the invitation: whom it makes what."""
        return f"{self.email}: {self.role}"

    @property
    def sender_name(self) -> str:
        """Return who invited, blank if the account was deleted since."""
        return (self.sender.name or self.sender.email) if self.sender else ""

    @property
    def role_in_words(self) -> str:
        """Return a sentence that says which rights the invitation grants; blank for those of a plain member."""
        if self.role == Role.OWNER:
            return gettext("If you accept, you become an owner of this organization.")
        return gettext("If you accept, you become an admin of this organization.") if self.role == Role.ADMIN else ""


class Pod(models.Model):
    """A place where environments run."""

    name = models.CharField(_("name"), max_length=64, unique=True, validators=[RegexValidator(NAME_IN_COMMANDS)])
    phi_safe = models.BooleanField(_("safe for protected health information"), default=True)
    import_requires_length = models.BooleanField(_("import requires length"), default=False)

    class Meta:
        verbose_name = _("pod")
        verbose_name_plural = _("pods")

    def __str__(self) -> str:
        return self.name


class Environment(models.Model):
    """An environment that an organization runs on a pod. The command-line client addresses it by name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="+", verbose_name=_("organization")
    )
    pod = models.ForeignKey(Pod, on_delete=models.PROTECT, related_name="+", verbose_name=_("pod"))
    name = models.CharField(_("name"), max_length=64, validators=[RegexValidator(NAME_IN_COMMANDS)])
    namespace = models.CharField(_("namespace"), max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("environment")
        verbose_name_plural = _("environments")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="environment_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class EventKind(models.TextChoices):
    """The kinds of events in an organization's security log, with the labels that users read."""

    CREATED = "created", _("Organization created")
    RENAMED = "renamed", _("Organization renamed")
    DELETION_REQUESTED = "deletion_requested", _("Deletion of the organization requested")
    DELETION_CANCELLED = "deletion_cancelled", _("Deletion of the organization cancelled")
    DELETED = "deleted", _("Organization deleted")
    MFA_REQUIRED = "mfa_required", _("Multi-factor authentication required")
    MFA_NOT_REQUIRED = "mfa_not_required", _("Multi-factor authentication no longer required")
    MFA_ANNOUNCED = "mfa_announced", _("Start date set for required multi-factor authentication")
    MFA_WITHDRAWN = "mfa_withdrawn", _("Start date for required multi-factor authentication cancelled")
    ACCEPTED_MODES = "accepted_modes", _("Accepted modes changed")
    REHEARSAL_STARTED = "rehearsal_started", _("Rehearsal of the policy started")
    REHEARSAL_ENDED = "rehearsal_ended", _("Rehearsal ended")
    EXEMPTED = "exempted", _("Member exempted from the policy")
    MANY_EXEMPTED = "many_exempted", _("Several members exempted from the policy")
    EXEMPTION_ENDED = "exemption_ended", _("Exemption ended")
    REMINDED = "reminded", _("Members without multi-factor authentication reminded")
    ROLE_CHANGED = "role_changed", _("Role changed")
    REMEMBERING_FORBIDDEN = "remembering_forbidden", _("Remembered browsers forbidden")
    REMEMBERING_ALLOWED = "remembering_allowed", _("Remembered browsers allowed")
    ASSISTED_RESET_STARTED = "assisted_reset_started", _("Assisted reset started")
    ASSISTED_RESET_CANCELLED = "assisted_reset_cancelled", _("Assisted reset cancelled")
    INVITED = "invited", _("Invitation sent")
    INVITATION_WITHDRAWN = "invitation_withdrawn", _("Invitation withdrawn")
    JOINED = "joined", _("Joined")
    LEFT = "left", _("Left")
    ACCOUNT_DELETED = "account_deleted", _("Left: account deleted")
    MEMBER_REMOVED = "member_removed", _("Member removed")
    ENVIRONMENT_CREATED = "environment_created", _("Environment created")
    ENVIRONMENT_RENAMED = "environment_renamed", _("Environment renamed")
    ENVIRONMENT_CHANGED = "environment_changed", _("Environment changed by staff")
    ENVIRONMENT_REMOVED = "environment_removed", _("Environment removed")


# In place of the address of a deleted account (SR-63). No address reads like this.
DELETED_ACCOUNT = "deleted account"


# Words of subjects, which are kept in English.
UNTIL = re.compile(r" \((?:until )?(\d{4}-\d\d-\d\d)\)$")
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)( \d\d:\d\d UTC)")
ROLE = re.compile(rf"(?<=: )({'|'.join(Role.values)})$")
WOULD_BLOCK = re.compile(r"(\d+) members? would have been blocked")


def in_words(subject: str) -> str:
    """Return what an event is about in the reader's language, given its subject."""
    if subject.startswith(DELETED_ACCOUNT):
        subject = str(_("a deleted account")) + subject.removeprefix(DELETED_ACCOUNT)
    if found := WOULD_BLOCK.fullmatch(subject):
        number = int(found[1])
        text = ngettext("%(n)d member would have been blocked", "%(n)d members would have been blocked", number)
        return text % {"n": number}
    if found := MOMENT.fullmatch(subject):
        return _day_in_words(found[1]) + found[2]
    subject = ROLE.sub(lambda found: str(Role(found[1]).label), subject)
    return UNTIL.sub(lambda found: " " + gettext("(until %(date)s)") % {"date": _day_in_words(found[1])}, subject)


def _day_in_words(day: str) -> str:
    """Return ``2027-03-04`` as pages show days in tables. A reason may end in what only looks like one."""
    try:
        return date_format(date.fromisoformat(day), gettext("Y-m-d"))
    except ValueError:
        return day


class OrganizationEvent(models.Model):
    """An event in an organization's security log. Append-only (SR-53)."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    # At the time; blank if the portal did it; ``DELETED_ACCOUNT`` if the account was deleted since.
    actor_email = models.CharField(max_length=254, blank=True)
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=600, blank=True)  # the user or thing affected, in words
    member = models.UUIDField(null=True)  # id of the exempt user, whose email may change
    effective_at = models.DateTimeField(null=True)  # start date of a policy, or end of an exemption
    ip_address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["organization", "-at"], name="events_of_organization"),
            models.Index(fields=["organization", "kind", "-at"], name="organization_events_by_kind"),
            models.Index(fields=["at"], name="organization_events_by_age"),
            models.Index(fields=["member"], condition=~models.Q(member=None), name="organization_events_of_member"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M}"

    @property
    def who(self) -> str:
        """Return the actor's email, or "the portal" if the event had no actor."""
        if self.actor_email == DELETED_ACCOUNT:
            return str(_("a deleted account"))
        return self.actor_email or str(_("the portal"))

    @property
    def subject_in_words(self) -> str:
        """Return what the event is about."""
        if self.kind == EventKind.ACCEPTED_MODES:
            return accepted_modes.translated(self.subject)
        return in_words(self.subject)

    @property
    def what(self) -> str:
        """Return the label of the event's kind."""
        return str(EventKind(self.kind).label) if self.kind in EventKind.values else self.kind

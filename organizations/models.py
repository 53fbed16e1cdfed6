"""Who decides: organizations, memberships, invitations; and the environments that they own."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User

# What people can type on a command line without quotes.
NAME_IN_COMMANDS = r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z"


class Organization(models.Model):
    """A group of people with one policy. ``mfa_required_at`` set: MFA is required of every member."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=128)
    mfa_required_at = models.DateTimeField(null=True, editable=False)
    # Browsers of members are not spared the one-time password (SR-37).
    remembering_forbidden = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Give the address of the organization's page."""
        return reverse("organizations:organization", args=[self.pk])

    @property
    def mfa_required(self) -> bool:
        """Whether MFA is required of every member."""
        return self.mfa_required_at is not None


class Role(models.TextChoices):
    """What a member may do."""

    OWNER = "owner", _("owner")
    ADMIN = "admin", _("admin")
    MEMBER = "member", _("member")

    @property
    def rank(self) -> int:
        """How much the role may: nobody gives or takes what is above their own."""
        return {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1}[self]


MANAGERS = frozenset({Role.OWNER, Role.ADMIN})


class Membership(models.Model):
    """A person in an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "organization"], name="member_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="role_is_a_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.organization_id} as {self.role}"


class Invitation(models.Model):
    """A way in for one address, once. Only its mail knows the code (SR-43)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    sender = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    email = models.EmailField(max_length=254)
    email_key = models.CharField(max_length=254)
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    digest = models.CharField(max_length=64, unique=True)  # finds the code
    sealed_code = models.TextField()  # for the worker that writes the mail
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

    def __str__(self) -> str:
        return f"invitation {self.pk}"

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be accepted."""
        return self.accepted_at is None and self.revoked_at is None and now < self.expires_at


class Pod(models.Model):
    """A place where environments run."""

    name = models.CharField(_("name"), max_length=64, unique=True, validators=[RegexValidator(NAME_IN_COMMANDS)])
    phi_safe = models.BooleanField(_("safe for protected health information"), default=True)
    import_requires_length = models.BooleanField(_("import requires length"), default=False)

    def __str__(self) -> str:
        return self.name


class Environment(models.Model):
    """Something that an organization runs on a pod; the command-line client works on it by name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    pod = models.ForeignKey(Pod, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=64, validators=[RegexValidator(NAME_IN_COMMANDS)])
    namespace = models.CharField(_("namespace"), max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="environment_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class EventKind(models.TextChoices):
    """What can happen to an organization. The label is what people read."""

    CREATED = "created", _("Organization created")
    RENAMED = "renamed", _("Organization renamed")
    MFA_REQUIRED = "mfa_required", _("Multi-factor authentication required")
    MFA_NOT_REQUIRED = "mfa_not_required", _("Multi-factor authentication no longer required")
    REMEMBERING_FORBIDDEN = "remembering_forbidden", _("Remembered browsers forbidden")
    REMEMBERING_ALLOWED = "remembering_allowed", _("Remembered browsers allowed")
    ASSISTED_RESET_STARTED = "assisted_reset_started", _("Assisted reset started")
    INVITED = "invited", _("Invitation sent")
    INVITATION_WITHDRAWN = "invitation_withdrawn", _("Invitation withdrawn")
    JOINED = "joined", _("Joined")
    LEFT = "left", _("Left")
    MEMBER_REMOVED = "member_removed", _("Member removed")
    ENVIRONMENT_CREATED = "environment_created", _("Environment created")
    ENVIRONMENT_RENAMED = "environment_renamed", _("Environment renamed")
    ENVIRONMENT_CHANGED = "environment_changed", _("Environment changed by staff")
    ENVIRONMENT_REMOVED = "environment_removed", _("Environment removed")


class OrganizationEvent(models.Model):
    """Something that happened to an organization. Append-only (SR-53)."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=254, blank=True)  # whom or what it was done to, in words
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["organization", "-at"], name="events_of_organization")]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M}"

    @property
    def what(self) -> str:
        """What happened, in words."""
        return str(EventKind(self.kind).label) if self.kind in EventKind.values else self.kind

"""What proves it: factors, challenges, recovery codes, remembered browsers, assisted resets."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device, DeviceManager

from accounts.encryption import seal, unseal
from accounts.models import Channel, Expiring, User
from accounts.refusals import Refused
from mfa import modes


class SealedSecret(models.Model):
    """A secret that is encrypted in the database (SR-18)."""

    sealed_secret = models.TextField(blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def secret(self) -> bytes:
        """The secret itself."""
        return unseal(self.sealed_secret)

    @secret.setter
    def secret(self, secret: bytes) -> None:
        self.sealed_secret = seal(secret)


def _secret_constraint(mode: modes.Mode) -> models.CheckConstraint:
    keeps = ~Q(sealed_secret="") if mode.keeps_secret else Q(sealed_secret="")
    return models.CheckConstraint(condition=~Q(mode=mode.name) | keeps, name=f"secret_of_{mode.name}")


class Factor(SealedSecret, Device):  # type: ignore[misc]  # django-otp has no types
    """An enabled mode of a user. A row exists only after a right code completed its enrolment (SR-21).

    A django-otp device, so that ``user.is_verified()`` and its admin site work. Its ``verify_token`` stays
    what the base class makes it, a refusal: codes are checked in ``mfa.challenges`` alone, where they are counted.
    """

    mode = models.CharField(max_length=16)
    last_step = models.BigIntegerField(default=0, editable=False)  # authenticator: the last accepted time step
    drift = models.SmallIntegerField(default=0, editable=False)  # steps that the phone's clock is ahead
    # Steps of the future whose codes were given and told of: they are not accepted when their time comes (SR-11).
    refused_steps = models.JSONField(default=list, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[DeviceManager] = DeviceManager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "mode"], name="one_factor_a_mode"),
            *(_secret_constraint(mode) for mode in modes.ALL.values()),
        ]
        # The oldest and the newest of a mode, and how many there are.
        indexes: ClassVar = [models.Index(fields=["mode", "id"], name="factors_of_a_mode")]

    def __str__(self) -> str:
        return f"{self.mode} of {self.user_id}"


class Passkey(models.Model):
    """A passkey of a user. All of them together are the user's factor of this mode, which goes with the last one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    factor = models.ForeignKey(Factor, on_delete=models.CASCADE, related_name="passkeys")
    name = models.CharField(_("name"), max_length=64)
    credential_id = models.BinaryField(editable=False)  # up to 1023 bytes, so its digest is what is indexed
    digest = models.CharField(max_length=64, unique=True, editable=False)
    public_key = models.BinaryField(editable=False)  # COSE
    sign_count = models.BigIntegerField(default=0, editable=False)
    transports = models.JSONField(default=list, editable=False)
    aaguid = models.UUIDField(editable=False)  # the authenticator's model; zeros if it does not tell
    can_sync = models.BooleanField(editable=False)  # backup eligibility, which never changes
    is_synced = models.BooleanField(editable=False)  # backup state: it is on other devices of its owner too
    signs_in_alone = models.BooleanField(default=True, editable=False)  # discoverable: without a name and a password
    verifies_user = models.BooleanField(editable=False)  # it asked for a fingerprint, face or PIN when it was added
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_ip_address = models.GenericIPAddressField(null=True, editable=False)
    last_agent = models.CharField(max_length=255, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]

    def __str__(self) -> str:
        return self.name


class Challenge(SealedSecret, Expiring):
    """One code asked for. Found by an id that only the browser's cookie or session, or the CLI's ``mfaID``, knows.

    ``secret`` is the key of the mailed code; in the enrolment of an authenticator it is the new factor's. Of a sign-in
    it is the step that is still to come: the password or SSH key was right, and nothing is authorised yet (SR-30).
    """

    asked_in: str | None = None  # the known place of the request that holds this object, if it was read
    mail_refusal: Refused | None = None  # of a new one: why its code was not mailed

    class Purpose(models.TextChoices):
        SIGN_IN = "sign_in"
        ENROLMENT = "enrolment"
        STEP_UP = "step_up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    mode = models.CharField(max_length=16)  # the mode in use now
    # Of a sign-in: how and from where it came.
    channel = models.CharField(max_length=8, choices=Channel.choices, blank=True)
    ip_address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=255, blank=True)
    # Names the browser or, at the command line, the network in which a factor was proven before; blank elsewhere.
    known_place = models.CharField(max_length=80, blank=True)
    by_key = models.BooleanField(default=False)  # an SSH key stood in place of the password
    # Of its user when it was begun: it does not outlive a change of password, email or factors (SR-25).
    credential_fingerprint = models.CharField(max_length=64, default="")  # blank, of an older release, is never right
    # Of a command-line sign-in: what proved the browser that shows its code, and until when that code is right.
    shown_by = models.CharField(max_length=16, blank=True, default="")
    shown_until = models.DateTimeField(null=True)
    failures = models.PositiveSmallIntegerField(default=0)
    mails = models.PositiveSmallIntegerField(default=0)
    last_mail_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(purpose="sign_in") & ~Q(channel="") | ~Q(purpose="sign_in") & Q(channel=""),
                name="sign_in_has_a_channel",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} by {self.mode} {self.pk}"

    @property
    def is_at_command_line(self) -> bool:
        """Whether it is a sign-in of the command-line client."""
        return self.channel == Channel.CLI

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be answered; ``user`` must be as fresh as the answer has to be."""
        return super().is_open(now) and self.is_of_current_credentials

    @property
    def is_of_current_credentials(self) -> bool:
        """Whether password, email and factors are those that it was begun with (SR-25)."""
        return constant_time_compare(self.credential_fingerprint, self.user.get_session_auth_hash())


class RecoveryCodes(SealedSecret):
    """The recovery codes of a user, as marks made with a key of their own: ``secret``, sealed as all secrets are."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    unused = models.JSONField(default=list)  # marks of the codes that work
    waiting = models.JSONField(default=list)  # marks of codes that were shown and not typed back yet
    over = models.JSONField(default=list, db_default=[])  # marks of codes that were used or replaced, the newest last
    made_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{len(self.unused)} recovery codes"


class RememberedBrowser(models.Model):
    """A browser that is spared the one-time password; its cookie alone knows the token (SR-37)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    credential_fingerprint = models.CharField(max_length=64)  # of what it is bound to
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    ip_address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["digest", "user"], name="remembered_once_a_user")]

    def __str__(self) -> str:
        return f"browser of {self.user_id}"


class AssistedReset(SealedSecret, Expiring):
    """Somebody's way back to an account whose factor is lost, started by a second person (SR-28).

    ``secret`` is the code of the mail that is waited for: first of the one that confirms, then of the one that opens.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", verbose_name=_("account"))
    started_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    authority = models.CharField(max_length=254)
    reason = models.CharField(_("reason"), max_length=500)
    due_at = models.DateTimeField(null=True)  # set when the member has confirmed
    told_at = models.DateTimeField(null=True)  # when the code that opens was mailed

    class Meta:
        verbose_name = _("assisted reset")
        verbose_name_plural = _("assisted resets")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user"], condition=Q(ended_at=None), name="one_open_reset"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(ended_at=None, told_at=None), name="resets_to_tell_of"),
            models.Index(fields=["user", "-created_at"], name="resets_of_user"),
        ]

    def __str__(self) -> str:
        return f"reset of {self.user_id}"

    def is_ready(self, now: datetime) -> bool:
        """Whether its code opens the account now."""
        return self.is_open(now) and self.due_at is not None and self.due_at <= now

"""Who you are: users, their sessions and sign-ins, proofs of a mailbox, mail to be sent, the security log."""

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession, BaseSessionManager
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.encryption import seal, unseal
from accounts.identifiers import is_compared_as_written, key_of


class UserManager(BaseUserManager["User"]):
    """Finds users by what people type."""

    def create_user(self, email: str, password: str | None, **fields: Any) -> "User":
        """Make an account; the address counts as unverified unless ``email_verified_at`` says otherwise."""
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None, **fields: Any) -> "User":
        """Make an operator's account."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def by_natural_key(self, username: str | None) -> "models.QuerySet[User]":
        """Return the user with this username or email, in any spelling (SR-4)."""
        key = key_of(username or "")
        # A username cannot hold an "@", an email must: no identifier can mean two accounts.
        return self.filter(email_key=key) if "@" in key else self.filter(username_key=key)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this username or email. Raises ``User.DoesNotExist``."""
        return self.by_natural_key(username).get()


class User(AbstractBaseUser, PermissionsMixin):  # type: ignore[django-manager-missing]  # django-otp has no types
    """A person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    is_verified: Callable[[], bool]  # set on each request by django-otp's middleware

    email = models.EmailField(_("email"), max_length=254, unique=True)
    email_key = models.CharField(max_length=254, unique=True, editable=False)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    username = models.CharField(_("username"), max_length=64, blank=True)
    username_key = models.CharField(max_length=128, unique=True, null=True, editable=False)  # noqa: DJ001  (none is no name)
    name = models.CharField(_("name"), max_length=128, blank=True)
    # Blank: MFA is off. Written only by the mfa app, in the transaction that adds or removes a factor (SR-24).
    preferred_mode = models.CharField(max_length=16, blank=True, editable=False)
    # The enabled modes, by name and with a blank between. A trigger of the mfa app keeps it in step with the factors.
    enabled_modes = models.CharField(max_length=64, blank=True, default="", editable=False)
    # The last mail to this address came back; null: none did, or a later one arrived.
    mailbox_failed_at = models.DateTimeField(null=True, editable=False)
    mailbox_failure = models.CharField(max_length=24, blank=True, default="", editable=False)  # a ``DeliveryReason``
    # In which pages and mails come; blank: the user has chosen none.
    language = models.CharField(max_length=8, blank=True, default="", db_default="", editable=False)
    # In whose time pages and mails show times, by its IANA name; blank: pages as the browser, mails in the next.
    time_zone = models.CharField(max_length=40, blank=True, default="", db_default="", editable=False)
    # Of the browser of the last sign-in; blank: none has told it. Written by ``signin.finish`` alone.
    last_time_zone = models.CharField(max_length=40, blank=True, default="", db_default="", editable=False)
    # When to offer a passkey again after a sign-in with a code; null: at once.
    offer_passkey_from = models.DateTimeField(null=True, editable=False)
    # Names of ``Notice``, with a blank between.
    muted_notices = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    # The hash of a password that was withdrawn, until another one is set: it must not be chosen again.
    withdrawn_password = models.CharField(max_length=128, blank=True, default="", db_default="", editable=False)
    # When wrong codes last made the portal accept none for a while, in whatever place; null: never.
    codes_refused_at = models.DateTimeField(null=True, editable=False)
    # Raised under the lock on this row by each change that ends the other sessions (SR-25).
    credential_version = models.PositiveIntegerField(default=0, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    # The user has asked to delete the account: from then on a worker may do it. Null: not asked, or undone.
    deletion_due_at = models.DateTimeField(null=True, editable=False)
    is_staff = models.BooleanField(_("staff"), default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        indexes: ClassVar = [
            models.Index(
                fields=["-mailbox_failed_at"], condition=Q(mailbox_failed_at__isnull=False), name="mailboxes_that_fail"
            ),
            models.Index(fields=["email_key"], condition=Q(is_staff=True), name="staff_by_email"),
            models.Index(fields=["email_key"], condition=Q(is_active=False), name="disabled_by_email"),
            models.Index(
                fields=["deletion_due_at"], condition=Q(deletion_due_at__isnull=False), name="accounts_to_delete"
            ),
        ]
        permissions: ClassVar = [
            ("unlock_user", "Can unlock an account"),
            ("sign_out_user", "Can sign out all sessions of an account"),
            ("disable_user", "Can disable and enable an account"),
        ]

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save, keeping the keys in step with what they are keys of.

        Raises ``ValueError`` for a new address whose mail would go elsewhere than to what is compared (SR-4).
        """
        if (update_fields is None and self._state.adding) or "email" in (update_fields or ()):
            _refuse_lookalike(self.email)
        self.email_key = key_of(self.email)
        self.username_key = key_of(self.username) or None
        if update_fields is None and not self._state.adding:
            # All but what a trigger keeps: this copy may be old.
            update_fields = {field.attname for field in self._meta.concrete_fields if not field.primary_key}
            update_fields -= {"enabled_modes"}
        if update_fields is not None:
            fields = set(update_fields)
            update_fields = fields | {f"{name}_key" for name in ("email", "username") if name in fields}
        super().save(*args, update_fields=update_fields, **kwargs)

    def set_password(self, raw_password: str | None) -> None:
        """Set a password, and forget the withdrawn one. Save ``password`` and ``withdrawn_password`` after it."""
        super().set_password(raw_password)
        self.withdrawn_password = ""

    def withdraw_password(self) -> None:
        """Make the password useless, and remember it until another one is set. Save both fields after it."""
        if self.has_usable_password():
            self.withdrawn_password = self.password
        self.set_unusable_password()

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return the fingerprint of what signs this user in: password, address and factors (SR-25).

        Django keeps it in each session and compares it on each request; tokens and challenges do the same. Taken from
        a row that was read under its lock, it dies with the next change, even one made in the same instant.
        """
        signed = f"{self.password}\n{self.email_key}\n{self.credential_version}"
        return salted_hmac("accounts.credentials", signed, secret=secret, algorithm="sha256").hexdigest()

    @property
    def mfa_is_on(self) -> bool:
        """Whether a code is due at sign-in."""
        return bool(self.preferred_mode)

    @property
    def modes(self) -> frozenset[str]:
        """The enabled modes."""
        return frozenset(self.enabled_modes.split())

    @property
    def mailbox_problem(self) -> str:
        """Why mail to this user does not arrive, in words; blank if it does."""
        return DeliveryReason.in_words(self.mailbox_failure) if self.mailbox_failed_at else ""

    def is_named(self, identifier: str) -> bool:
        """Return whether this is the user's username or email, in any spelling (SR-4)."""
        return key_of(identifier) in {self.email_key, self.username_key}

    @property
    def display_name(self) -> str:
        """What to call this person."""
        return self.name or self.username or self.email


def _refuse_lookalike(email: str) -> None:
    if not is_compared_as_written(email):
        raise ValueError("The normal form of this e-mail address is another address.")


class SignedIn(models.Model):
    """What is told of a session, of either door: when and where it began, when last used, what proved it."""

    public_id = models.UUIDField(default=uuid.uuid4, editable=False)  # names it to its owner; opens nothing
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    mode = models.CharField(max_length=16, blank=True)  # blank: no second factor
    factor_name = models.CharField(max_length=64, blank=True, default="")  # of a passkey
    ip_address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=255, blank=True)

    class Meta:
        abstract = True


class Session(SignedIn, AbstractBaseSession):
    """A browser session that knows whose it is, so that a user's sessions can be shown and ended."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")

    objects: ClassVar[BaseSessionManager[Any]] = BaseSessionManager()

    def __str__(self) -> str:
        return f"session {self.public_id}"  # never its key, which is a secret

    @classmethod
    def get_session_store_class(cls) -> type:
        """Name the store that reads and writes these rows."""
        from accounts.session_store import SessionStore  # noqa: PLC0415  (the store needs this model)

        return SessionStore


class Token(SignedIn):
    """A session of the command-line client, which alone knows the token itself (SR-35)."""

    digest = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    # Of the user, as read under the lock that finished the sign-in (SR-25).
    credential_fingerprint = models.CharField(max_length=128)
    by_key = models.BooleanField(default=False)  # an SSH key stood in place of the password
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"token {self.public_id}"


# What browsers allow a cookie.
KNOWN_BROWSER_LIFETIME = timedelta(days=400)


class KnownBrowser(models.Model):
    """A browser in which a user has signed in. Its cookie holds a token of this user's own."""

    digest = models.CharField(max_length=64)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_browsers")
    last_used_at = models.DateTimeField(default=timezone.now, db_index=True)
    # What was proven here besides a password (SR-23).
    mailbox_proven_at = models.DateTimeField(null=True)
    factor_proven_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["digest", "user"], name="browser_once_a_user")]

    def __str__(self) -> str:
        return f"browser of {self.user_id}"


class Throttle(models.Model):
    """Tries of one thing, counted. Without foreign keys: names without an account are counted too (SR-3)."""

    digest = models.CharField(max_length=64, primary_key=True)
    in_a_row = models.PositiveIntegerField(default=0)
    recent = models.JSONField(default=list)  # Unix times of the last tries, oldest first
    last_at = models.DateTimeField(null=True, db_index=True)
    tries = models.PositiveBigIntegerField(default=1)  # since the row was inserted, also the refused ones

    def __str__(self) -> str:
        return f"{self.in_a_row} tries"

    @property
    def is_new(self) -> bool:
        """Whether this try inserted the row."""
        return self.tries == 1


class PublicKey(models.Model):
    """An SSH key of a user; an RSA one signs in at the command line."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=64)
    text = models.TextField()  # OpenSSH form, without a comment
    fingerprint = models.CharField(max_length=43, db_index=True)  # SHA-256 of the blob, base64 without padding
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "name"], name="key_name_once"),
            models.UniqueConstraint(fields=["user", "fingerprint"], name="key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.fingerprint_in_words}"

    @property
    def fingerprint_in_words(self) -> str:
        """The fingerprint as ``ssh-keygen`` writes it."""
        return f"SHA256:{self.fingerprint}"


class UsedNonce(models.Model):
    """A nonce that signed a sign-in: it cannot sign another one while its timestamp is still accepted (SR-38)."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest


class Channel(models.TextChoices):
    """Through what a user comes."""

    BROWSER = "browser", _("browser")
    CLI = "cli", _("command line")
    KEY = (
        "key",
        _("command line, with a key"),
    )  # of what came of a sign-in; the sign-in itself is ``CLI`` and ``by_key``


class Expiring(models.Model):
    """Something that waits for a person for a while, and is over when it ended or expired."""

    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be answered."""
        return self.ended_at is None and now < self.expires_at


class EmailVerification(Expiring):
    """A request to prove a mailbox by a mailed code.

    ``user`` is empty for a registration, whose account comes with its code, and for an unknown account: same page, no
    mail.
    """

    class Purpose(models.TextChoices):
        REGISTER = "register"
        CONFIRM_MAILBOX = "confirm_mailbox"  # before the first factor
        RESET_PASSWORD = "reset_password"  # noqa: S105  (a name)
        CHANGE_EMAIL = "change_email"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    email = models.EmailField(max_length=254, blank=True)  # the new address, where one is to be proven
    password = models.CharField(max_length=128, blank=True)  # of a registration: the hash that its account will have
    mailbox_key = models.CharField(max_length=254, blank=True)  # where mail goes; blank for an unknown account
    mailed_at = models.DateTimeField(null=True)  # when its code was last mailed; others count as asked only
    sealed_code = models.TextField()
    failures = models.PositiveSmallIntegerField(default=0)
    mails = models.PositiveSmallIntegerField(default=0)
    last_mail_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["mailbox_key", "purpose", "-mailed_at"],
                condition=Q(mailed_at__isnull=False),
                name="mailed_codes_of_mailbox",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"

    @property
    def code(self) -> str:
        """The code of the mail. Kept sealed: a stolen database opens no mailbox proof."""
        return unseal(self.sealed_code).decode()

    @code.setter
    def code(self, code: str) -> None:
        self.sealed_code = seal(code.encode())


class EmailChange(models.Model):
    """A change of an account's address, which the holder of the old one can undo for a while (SR-29)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    old_email = models.EmailField(max_length=254)
    old_email_key = models.CharField(max_length=254)
    mfa_was_on = models.BooleanField(default=True)
    at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["old_email_key", "at"], condition=Q(undone_at=None), name="addresses_kept_free"),
        ]

    def __str__(self) -> str:
        return f"address of {self.user_id} until {self.at:%Y-%m-%d %H:%M}"


class SecurityEvent(models.Model):
    """Something that happened to an account. Append-only; no secret (SR-53)."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=40)
    mode = models.CharField(max_length=16, blank=True)
    factor_name = models.CharField(max_length=64, blank=True, default="")  # of a passkey
    ip_address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=255, blank=True)
    actor = models.CharField(
        max_length=254, blank=True, default="", db_default=""
    )  # staff or operator; blank: the user
    reason = models.CharField(max_length=500, blank=True, default="", db_default="")  # of staff or an operator
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["user", "-at"], name="events_of_user"),
            models.Index(fields=["at"], name="events_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M}"


class DataExport(models.Model):
    """A copy of what the portal knows of a user: asked for, built by a worker, kept encrypted for a while (SR-63)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    ip_address = models.GenericIPAddressField(null=True)  # from where it was asked for
    agent = models.CharField(max_length=255, blank=True)
    taken_at = models.DateTimeField(null=True)  # when a worker last showed that it is at work
    tries = models.PositiveSmallIntegerField(default=0)
    rows = models.PositiveIntegerField(default=0)  # written so far
    ended_at = models.DateTimeField(null=True)  # it is ready or, without an archive, given up
    size = models.PositiveIntegerField(default=0)  # of the archive, before its encryption
    sealed_key = models.TextField(blank=True, default="")
    archive = models.BinaryField(null=True)  # encrypted with that key

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=Q(ended_at__isnull=True), name="exports_to_build"),
            models.Index(fields=["user", "-created_at"], name="exports_of_user"),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}"

    @property
    def is_waiting(self) -> bool:
        """Whether it is still to be built."""
        return self.ended_at is None

    @property
    def is_ready(self) -> bool:
        """Whether it can be downloaded."""
        return self.size > 0


class DeletedAccount(models.Model):
    """Where the last mail of a deleted account goes. Nothing refers to it, and it is deleted soon after."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sealed_email = models.TextField()
    at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"deleted account {self.pk}"

    @property
    def email(self) -> str:
        """The address that the account had."""
        return unseal(self.sealed_email).decode()


class Delivery(models.IntegerChoices):
    """What became of a mail that was sent, in the order in which it can be told: later ones replace earlier ones."""

    UNKNOWN = 0
    ACCEPTED = 1, _("accepted")  # by the first mail server
    DEFERRED = 2, _("held back")  # by the mailbox's own server, which will be asked again
    DELIVERED = 3, _("delivered")
    FAILED = 4, _("not sent on")  # the provider gave up or refused the address
    BOUNCED = 5, _("returned")
    COMPLAINED = 6, _("marked as spam")


class DeliveryReason(models.TextChoices):
    """Why a mail was deferred, returned or refused, in our words."""

    NO_MAILBOX = "no_mailbox", _("there is no such mailbox")
    FULL = "full", _("the mailbox is full")
    BLOCKED = "blocked", _("the mailbox's server refuses our mail")
    SPAM = "spam", _("it was taken for spam")
    UNREACHABLE = "unreachable", _("the mailbox's server cannot be reached")
    SUPPRESSED = "suppressed", _("our mail provider no longer sends to this address")
    OTHER = "other", _("the mailbox's server did not say why")

    @classmethod
    def in_words(cls, reason: str) -> str:
        """Return the words for a kept reason; of a blank or unknown one, that none was told."""
        return str(cls(reason if reason in cls.values else cls.OTHER).label)


class Mail(models.Model):
    """A mail to be sent: the outbox. Committed before it is queued, so that none is lost."""

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("being sent")
        SENT = "sent", pgettext_lazy("a mail", "sent")
        DROPPED = "dropped", _("no longer wanted")  # when its turn came
        FAILED = "failed", _("given up")  # after the last retry

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    task = models.CharField(max_length=80)
    queue = models.CharField(max_length=16, default="celery")
    about = models.CharField(max_length=36, blank=True)  # id of the row that the mail tells of
    language = models.CharField(max_length=8, blank=True, default="", db_default="")  # blank: the portal's default
    time_zone = models.CharField(max_length=40, blank=True, default="", db_default="")  # blank: UTC
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)  # when a mail server accepted it
    # What a mail server or provider has told of it since. Written by ``accounts.delivery`` alone, and only upwards.
    delivery = models.PositiveSmallIntegerField(choices=Delivery.choices, default=Delivery.UNKNOWN)
    delivery_at = models.DateTimeField(null=True)
    delivery_reason = models.CharField(max_length=24, choices=DeliveryReason.choices, blank=True, default="")
    reply = models.CharField(max_length=255, blank=True, default="")  # of the mail server that accepted it
    provider = models.CharField(max_length=64, blank=True, default="")  # that accepted it: a host or a name of Anymail
    message_id = models.CharField(max_length=255, blank=True, default="")  # by which its reports name it
    mailbox = models.CharField(max_length=32, blank=True, default="")  # keyed hash of the address that it was sent to

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["message_id"], condition=~Q(message_id=""), name="mail_by_message_id"),
            models.Index(fields=["queue", "due_at"], condition=Q(state__in=["queued", "sending"]), name="mail_to_send"),
            models.Index(fields=["user", "task", "created_at"], name="mail_of_user"),
            models.Index(fields=["about", "user"], name="mail_about"),
            models.Index(fields=["created_at"], name="mail_by_age"),
            models.Index(
                fields=["queue", "created_at"], condition=Q(state__in=["queued", "sending"]), name="mail_unsent_by_age"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.state}"


class IsUnsent(models.Func):
    """The condition that a mail, by its ``state``, is still to be sent.

    Its constants are part of the SQL, as in the partial indexes: PostgreSQL cannot know that a parameter of a prepared
    statement fits an index, and would read the whole table.
    """

    template = "%(expressions)s IN ('queued', 'sending')"
    output_field = models.BooleanField()


class MailRoute(models.Model):
    """The circuit breaker of a way out for mail (``accounts.mail_breaker``). Without a row, it is closed."""

    name = models.CharField(max_length=16, primary_key=True)
    failures = models.PositiveIntegerField(default=0)  # in a row
    failed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=64, blank=True, default="")  # of the last one: its type and the server's code
    open_until = models.DateTimeField(null=True)  # null: closed
    is_probed = models.BooleanField(default=False)  # half-open: one mail tries it
    changed_at = models.DateTimeField(null=True)  # when the breaker last opened or closed

    def __str__(self) -> str:
        return self.name

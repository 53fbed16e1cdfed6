"""Changing the email address (SR-29).

A code sent to the new address proves it. The old address is notified and can undo the change for a while.
"""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import email_verification, outbox, security_log, sessions, throttles
from accounts.identifiers import key_of
from accounts.limits import Limit
from accounts.models import EmailChange, EmailVerification, PublicKey, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin

UNDOING = "accounts.undo_address"
HOUR = timedelta(hours=1)
CHANGES_OF_USER = Limit(what="changes of the email address", per="user", key="change-email", tries=5, window=HOUR)
CHANGES_FROM_NETWORK = Limit(
    what="changes of the email address", per="client network", key="change-email-network",
    tries="IP_MAILS_PER_HOUR", window=HOUR,
)  # fmt: skip


class SameEmail(Refused):
    """The new address is the current one."""

    message = _("This is already your email address.")


class EmailGone(Refused):
    """Another account has taken the address since the change was begun or made."""

    message = _("This email address can no longer be used. Ask the staff of this portal for help.")


def ask(user: User, email: str, origin: Origin) -> EmailVerification:
    """Mail a code to the new address.

    If the address is taken, the answer is the same, and its owner is notified instead (SR-3). Raises ``SameEmail`` or
    ``TooManyTries``.
    """
    if key_of(email) == user.email_key and email == user.email:
        raise SameEmail
    throttles.take([CHANGES_OF_USER.of(user.pk), CHANGES_FROM_NETWORK.by_network(origin)])
    with transaction.atomic():
        if not _is_free(user, email):
            unsent = email_verification.unsent_proof(EmailVerification.Purpose.CHANGE_EMAIL, email=email)
            email_verification.tell_owner(email, origin, instead_of=unsent)
            return unsent
        proof = email_verification.new_proof(user, EmailVerification.Purpose.CHANGE_EMAIL, email=email)
        email_verification.post(proof, origin)
    return proof


def _is_free(user: User, email: str) -> bool:
    taken = User.objects.filter(email_key=key_of(email)).exclude(pk=user.pk).exists()
    return not taken and not email_verification.is_kept_free(email, but_for=user)


def complete(proof: EmailVerification, code: str, origin: Origin, *, session_key: str | None) -> User:
    """Set the proven address as the account's email, and end its other sessions, tokens and sign-ins.

    Where email is an enabled mode, this replaces a factor (SR-25). Raises ``WrongCode`` (counted),
    ``VerificationOver`` or ``EmailGone``.
    """

    def change(_proof: EmailVerification, user: User | None) -> User:
        if user is None:
            raise email_verification.VerificationOver
        old, was_verified = user.email, user.email_verified_at is not None
        if not _is_free(user, proof.email):
            raise EmailGone
        sessions.end_others(user, keep=session_key)
        email_verification.end_proofs(user)
        # Last: from here on, inserts of the same email wait for this transaction.
        _set_email(user, proof.email)
        security_log.record(user, Kind.EMAIL_CHANGED, origin)
        # An old address that was never verified may be mistyped: its holder must not get the account.
        if was_verified and key_of(old) != user.email_key:
            email_change = EmailChange.objects.create(
                user=user, old_email=old, old_email_key=key_of(old), mfa_was_on=user.mfa_is_on
            )
            outbox.post("accounts.email_changed", user=user, about=email_change.pk)
        return user

    return email_verification.spend(proof, code, change)


def _set_email(user: User, email: str) -> None:
    user.email, user.email_verified_at = email, timezone.now()
    user.mailbox_failed_at, user.mailbox_failure = None, ""  # of the address before
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "email_verified_at", "mailbox_failed_at", "mailbox_failure"])
    except IntegrityError:
        raise EmailGone from None


def undo_token(change: EmailChange) -> str:
    """Return the token of the undo link in the email to the old address."""
    return signing.dumps(str(change.pk), salt=UNDOING)


def find_undoable(token: str) -> EmailChange | None:
    """Return the change that a token names, if it can still be undone."""
    try:
        change_id = UUID(signing.loads(token, salt=UNDOING, max_age=settings.EMAIL_CHANGE_UNDO_WINDOW))
    except signing.BadSignature:
        return None
    return EmailChange.objects.select_related("user").filter(pk=change_id, undone_at=None).first()


def undo(change: EmailChange, origin: Origin, *, remove_factors: Callable[[User], None]) -> bool:
    """Restore the old address and revoke every credential that the attacker may know.

    The user has to choose a new password by email to the old address. Factors stay if MFA was on before the change.
    If it was off, ``remove_factors`` removes those added since, because the new address proved them (SR-23).
    Signs no one in. Returns False if the account was deleted meanwhile. Raises ``EmailGone``.
    """
    now = timezone.now()
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).filter(pk=change.user_id).first()
        if user is None:
            return False
        change = EmailChange.objects.select_for_update().get(pk=change.pk)
        if change.undone_at:
            return True
        # The same attacker made the later changes.
        EmailChange.objects.filter(user=user, at__gte=change.at, undone_at=None).update(undone_at=now)
        user.withdraw_password()
        user.deletion_due_at = None  # asked for by the attacker
        user.save(update_fields=["password", "withdrawn_password", "deletion_due_at"])
        sessions.end_others(user, keep=None)
        email_verification.end_proofs(user)  # their codes went to the other address
        _set_email(user, change.old_email)
        if not change.mfa_was_on:
            remove_factors(user)
        PublicKey.objects.filter(user=user).delete()
        security_log.record(user, Kind.EMAIL_CHANGE_UNDONE, origin)
    return True

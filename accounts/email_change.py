"""Changing the e-mail address: proven at the new one, told to the old one, which can undo it for a while (SR-29)."""

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
from accounts.models import EmailChange, EmailVerification, PublicKey, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin

UNDOING = "accounts.undo_address"
MAX_CHANGES_PER_HOUR = 5
HOUR = timedelta(hours=1)


class SameEmail(Refused):
    """There is nothing to change."""

    message = _("This is your address already.")


class EmailGone(Refused):
    """Taken by another account since the change began, or since it was made."""

    message = _("This address cannot be used any more. Please ask the people who run this portal.")


def ask(user: User, email: str, origin: Origin) -> EmailVerification:
    """Mail a code to the new address. For one that is taken the answer is the same, and its owner is told (SR-3).

    Raises ``SameEmail`` or ``TooManyTries``.
    """
    if key_of(email) == user.email_key and email == user.email:
        raise SameEmail
    throttles.take(
        [
            throttles.in_window("change-email", str(user.pk), count=MAX_CHANGES_PER_HOUR, window=HOUR),
            throttles.by_network("change-email", origin, count=settings.IP_MAILS_PER_HOUR, window=HOUR),
        ]
    )
    with transaction.atomic():
        if not _is_free(user, email):
            email_verification.tell_owner(email, origin)
            return email_verification.unsent_proof(EmailVerification.Purpose.CHANGE_EMAIL, email=email)
        proof = email_verification.new_proof(user, EmailVerification.Purpose.CHANGE_EMAIL, email=email)
        email_verification.post(proof, origin)
    return proof


def _is_free(user: User, email: str) -> bool:
    taken = User.objects.filter(email_key=key_of(email)).exclude(pk=user.pk).exists()
    return not taken and not email_verification.is_kept_free(email, but_for=user)


def complete(proof: EmailVerification, code: str, origin: Origin, *, session_key: str | None) -> User:
    """Make the proven address the account's; its other sessions, tokens and sign-ins end.

    Where e-mail is a mode, this replaces a factor (SR-25). Raises ``WrongCode`` (counted), ``VerificationOver`` or
    ``EmailGone``.
    """

    def change(_proof: EmailVerification, user: User | None) -> User:
        if user is None:
            raise email_verification.VerificationOver
        old, was_verified = user.email, user.email_verified_at is not None
        if not _is_free(user, proof.email):
            raise EmailGone
        sessions.end_others(user, keep=session_key)
        email_verification.end_proofs(user)
        _give(user, proof.email)  # last: writing the unique address takes a lock for which inserts of others wait
        security_log.record(user, Kind.EMAIL_CHANGED, origin)
        # Who never proved the old address may have mistyped it: its holder must not get the account.
        if was_verified and key_of(old) != user.email_key:
            made = EmailChange.objects.create(
                user=user, old_email=old, old_email_key=key_of(old), mfa_was_on=user.mfa_is_on
            )
            outbox.post("accounts.email_changed", user=user, about=made.pk)
        return user

    return email_verification.spend(proof, code, change)


def _give(user: User, email: str) -> None:
    user.email, user.email_verified_at = email, timezone.now()
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "email_verified_at"])
    except IntegrityError:
        raise EmailGone from None


def undo_token(change: EmailChange) -> str:
    """Give what the link in the mail to the old address carries."""
    return signing.dumps(str(change.pk), salt=UNDOING)


def find_undoable(token: str) -> EmailChange | None:
    """Find the change of a token that can still be undone."""
    try:
        change_id = UUID(signing.loads(token, salt=UNDOING, max_age=settings.EMAIL_CHANGE_UNDO_WINDOW))
    except signing.BadSignature:
        return None
    return EmailChange.objects.select_related("user").filter(pk=change_id, undone_at=None).first()


def undo(change: EmailChange, origin: Origin, *, remove_factors: Callable[[User], None]) -> None:
    """Give the account its old address back and close it to whoever changed it: what they knew opens it no more.

    The password has to be chosen anew by mail to the old address. Factors stay where MFA was on before the change;
    where it was off, ``remove_factors`` removes those that were added since: the new address proved them (SR-23).
    Signs no one in. Raises ``EmailGone``.
    """
    now = timezone.now()
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=change.user_id)
        change = EmailChange.objects.select_for_update().get(pk=change.pk)
        if change.undone_at:
            return
        # Later changes were made by the same hand.
        EmailChange.objects.filter(user=user, at__gte=change.at, undone_at=None).update(undone_at=now)
        user.set_unusable_password()
        user.save(update_fields=["password"])
        sessions.end_others(user, keep=None)
        email_verification.end_proofs(user)  # their codes went to the other address
        _give(user, change.old_email)
        if not change.mfa_was_on:
            remove_factors(user)
        PublicKey.objects.filter(user=user).delete()
        security_log.record(user, Kind.EMAIL_CHANGE_UNDONE, origin)

"""Proving a mailbox by a mailed code: after registration, and for a new password.

A code instead of a link: mail scanners open links, and no secret belongs in a URL (SR-19, SR-47). The proof
is found by an id that the browser's session keeps, so the browser that asked is the one that confirms.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hmac import compare_digest

import structlog
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import browsers, outbox, security_log, sessions, signin, throttles
from accounts.identifiers import key_of, new_code
from accounts.models import AddressChange, Mail, MailboxProof, PublicKey, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin

log = structlog.get_logger(__name__)

CODE_LENGTH = 9  # of 29 signs: 43 bits against five guesses
FAILURES_ALLOWED = 5
MAILS_ALLOWED = 5
MAILS_AN_HOUR = 10


class WrongCode(Refused):
    """Counted."""

    message = _("That code is not right. Copy it from the newest email that we sent you.")


class ProofOver(Refused):
    """Expired, used, or guessed at too often."""

    message = _("That code has expired or was used. Please ask for a new one.")


class TooManyMails(Refused):
    """Asked again too soon, or too often."""

    message = _("We have just sent you an email. Please wait a little before asking for another one.")


def register(email: str, password: str, origin: Origin, *, proven: bool) -> MailboxProof | None:
    """Register an account and mail a code that proves its mailbox; None where it was ``proven`` already.

    For an address that is taken the answer is the same, and its owner is told by mail instead (SR-3).
    Raises ``TooManyTries``.
    """
    _limit_address("register", origin)
    user = User(email=email)
    user.set_password(password)  # before the look-up: as much work whether the address is known or not
    with transaction.atomic():
        if is_kept_free(email) or not _save_unless_taken(user):
            tell_owner(email)
            return new_proof(None, MailboxProof.Purpose.VERIFY_EMAIL)
        security_log.record(user, Kind.REGISTERED, origin)
        if proven:
            user.email_verified_at = timezone.now()
            user.save(update_fields=["email_verified_at"])
            security_log.record(user, Kind.EMAIL_VERIFIED, origin)
            return None
        return ask(user, MailboxProof.Purpose.VERIFY_EMAIL)


def is_kept_free(email: str, *, but_for: User | None = None) -> bool:
    """Whether an address was somebody's until lately, who may still want it back (SR-29)."""
    since = timezone.now() - settings.EMAIL_CHANGE_UNDO_FOR
    kept = AddressChange.objects.filter(old_email_key=key_of(email), undone_at=None, at__gt=since)
    return (kept.exclude(user=but_for) if but_for else kept).exists()


def tell_owner(email: str) -> None:
    """Tell the owner of an address that somebody tried to use it for another account, if it has one."""
    owner = User.objects.filter(email_key=key_of(email)).first()
    if owner and _may_mail(owner):
        outbox.post("accounts.tell_address_taken", user=owner)


def _limit_address(kind: str, origin: Origin) -> None:
    hour = timedelta(hours=1)
    throttles.take(throttles.tries_from(kind, origin.address, count=settings.ADDRESS_MAILS_PER_HOUR, window=hour))


def ask_reset(identifier: str, origin: Origin) -> MailboxProof:
    """Mail a code for a new password, if there is such an account. Raises ``TooManyTries``."""
    _limit_address("reset", origin)
    return ask(find_user(identifier), MailboxProof.Purpose.RESET_PASSWORD)


def _save_unless_taken(user: User) -> bool:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        return False
    return True


def find_user(identifier: str) -> User | None:
    """Find who may reset a password: an active account with this user name or address."""
    try:
        user = User.objects.get_by_natural_key(identifier)
    except User.DoesNotExist:
        return None
    return user if user.is_active else None


def ask(user: User | None, purpose: MailboxProof.Purpose) -> MailboxProof:
    """Open a proof and mail its code. With no user everything happens but the mail."""
    with transaction.atomic():
        proof = new_proof(user, purpose)
        post(proof)
    return proof


def new_proof(user: User | None, purpose: MailboxProof.Purpose, *, email: str = "") -> MailboxProof:
    """Open a proof without mailing anything; ``email`` is the address to prove where it is not the account's."""
    lifetimes = {
        MailboxProof.Purpose.VERIFY_EMAIL: settings.VERIFY_EMAIL_LIFETIME,
        MailboxProof.Purpose.RESET_PASSWORD: settings.PASSWORD_RESET_LIFETIME,
        MailboxProof.Purpose.CHANGE_EMAIL: settings.PASSWORD_RESET_LIFETIME,
    }
    proof = MailboxProof(user=user, purpose=purpose, email=email, expires_at=timezone.now() + lifetimes[purpose])
    proof.code = new_code(CODE_LENGTH)
    proof.save()
    return proof


def post(proof: MailboxProof) -> None:
    """Mail the code of a proof, unless its user had too many mails lately."""
    if proof.user and not _may_mail(proof.user):
        return
    proof.mails += 1
    proof.last_mail_at = timezone.now()
    proof.save(update_fields=["mails", "last_mail_at"])
    outbox.post("accounts.send_mailbox_code", user=proof.user, about=proof.pk, queue=outbox.OTP_QUEUE)


def _may_mail(user: User) -> bool:
    """Whether this mailbox had few enough of our mails lately: anybody may ask for one, nobody may flood it.

    Said to nobody: the answer would tell whether there is such an account.
    """
    an_hour_ago = timezone.now() - timedelta(hours=1)
    tasks = ["accounts.send_mailbox_code", "accounts.tell_address_taken"]
    lately = Mail.objects.filter(user=user, task__in=tasks, created_at__gt=an_hour_ago)[:MAILS_AN_HOUR]
    if len(lately) < MAILS_AN_HOUR:
        return True
    log.warning("mailbox.too_many_mails", user_id=str(user.pk))
    return False


def resend(proof: MailboxProof) -> None:
    """Mail the same code once more. Raises ``ProofOver`` or ``TooManyMails``."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        proof = MailboxProof.objects.select_for_update().get(pk=proof.pk)
        if not proof.is_open(now):
            raise ProofOver
        if proof.mails >= MAILS_ALLOWED:
            raise TooManyMails
        if now < (ready := resend_at(proof)):
            raise TooManyMails(retry_at=ready)
        post(proof)


def resend_at(proof: MailboxProof) -> datetime:
    """When the next mail may be asked for."""
    return (proof.last_mail_at or proof.created_at) + settings.OTP_MAIL_PAUSE


def find(proof_id: str | None, purpose: MailboxProof.Purpose) -> MailboxProof | None:
    """Find an open proof of this purpose."""
    if not proof_id:
        return None
    proof = MailboxProof.objects.select_related("user").filter(pk=proof_id, purpose=purpose).first()
    return proof if proof and proof.is_open(timezone.now()) else None


def spend(proof: MailboxProof, code: str, then: Callable[[User], None]) -> User:
    """Check a code and, in the same transaction, do ``then`` for the user who proved the mailbox.

    Raises ``WrongCode`` (counted) or ``ProofOver``.
    """
    refusal: Refused | None = None
    now = timezone.now()
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update(no_key=True).filter(pk=proof.user_id).first() if proof.user_id else None
        proof = MailboxProof.objects.select_for_update().get(pk=proof.pk)
        if not proof.is_open(now):
            refusal = ProofOver()
        elif not compare_digest(proof.code.encode(), code.encode()) or user is None:
            refusal = _count_failure(proof, now)
        else:
            proof.ended_at = now
            proof.save(update_fields=["ended_at"])
            if not proof.email:
                user.email_verified_at = user.email_verified_at or now
                user.save(update_fields=["email_verified_at"])
            then(user)

    # Raised out here: inside the block it would roll the failure count back (SR-7).
    if refusal or user is None:
        raise refusal or ProofOver()
    return user


def end_proofs(user: User) -> None:
    """End the open proofs of a user: their codes went to an address that is not the account's any more."""
    MailboxProof.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())


def _count_failure(proof: MailboxProof, now: datetime) -> Refused:
    proof.failures += 1
    proof.ended_at = now if proof.failures >= FAILURES_ALLOWED else None
    proof.save(update_fields=["failures", "ended_at"])
    return ProofOver() if proof.ended_at else WrongCode()


def verify_email(proof: MailboxProof, code: str, origin: Origin) -> User:
    """Note that the mailbox is the user's. Raises ``WrongCode`` (counted) or ``ProofOver``."""

    def note(user: User) -> None:
        security_log.record(user, Kind.EMAIL_VERIFIED, origin)

    return spend(proof, code, note)


def reset_password(proof: MailboxProof, code: str, password: str, origin: Origin) -> User:
    """Set a new password. It signs nobody in and leaves every factor as it is (SR-27).

    Ends all sessions, tokens and pending sign-ins and removes the SSH keys: whoever registered with somebody
    else's address, or broke in, must not keep a way in. Raises ``WrongCode`` (counted) or ``ProofOver``, and
    Django's ``ValidationError`` (the code is not spent) if the password is too weak for this very account.
    """

    def set_password(user: User) -> None:
        validate_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        sessions.end_others(user, keep=None)
        PublicKey.objects.filter(user=user).delete()
        browsers.forget(user)
        throttles.give_back(signin.passwords_of(user))
        security_log.record(user, Kind.PASSWORD_RESET, origin)

    return spend(proof, code, set_password)

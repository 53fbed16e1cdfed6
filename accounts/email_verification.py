"""Proving a mailbox by a mailed code: to register, for a new password, before the first factor.

The email holds a code instead of a link: mail scanners open links, and no secret belongs in a URL (SR-19, SR-47). The
browser's session keeps the id of the verification, so only the browser that asked can confirm.

Anonymous requests can use up the email limit of a mailbox. Its owner then needs no email of their own: each code that
was mailed there in the last hour works in every browser that asked for the same purpose (SR-57).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from hmac import compare_digest

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import known_browsers, languages, mail_limits, outbox, security_log, sessions, signin, throttles
from accounts.identifiers import key_of, new_code
from accounts.limits import Limit
from accounts.models import Channel, EmailChange, EmailVerification, PublicKey, User
from accounts.refusals import Counted, Refused, counted
from accounts.security_log import Kind, Origin

Purpose = EmailVerification.Purpose

CODE_LENGTH = 9  # of 29 characters: 43 bits against five guesses
WRONG_CODES = Limit(what="wrong codes that verify a mailbox", per="verification", tries=5)
MAILS = Limit(what="mails with codes that verify a mailbox", per="verification", tries=5, pause="OTP_MAIL_PAUSE")
REGISTRATIONS = Limit(
    what="registrations", per="client network", key="register", tries="IP_MAILS_PER_HOUR", window=timedelta(hours=1)
)
RESETS = replace(REGISTRATIONS, what="password resets", per="client network, outside known browsers", key="reset")
# How long a mailed code also works for other verifications of its mailbox and purpose: the window of the mail limit.
CODE_SHARING_WINDOW = timedelta(hours=1)
MAX_SHARED_CODES = 20


class WrongCode(Counted):
    """The code is not the mailed one."""

    message = _("That code is wrong. Copy the code from the newest email that we sent you.")


class VerificationOver(Refused):
    """The verification has expired, was used, or had too many wrong codes."""

    message = _("That code has expired or was already used. Ask for a new one.")


class LastWrongCode(Counted, VerificationOver):
    """The wrong code that ended the verification."""


class TooManyMails(Refused):
    """Another email was asked for too soon, or too often."""

    message = _("We have just sent you an email. Wait a little before you ask for another one.")


class EmailTaken(Refused):
    """Another account took the email address while this one waited for its code."""

    message = _("An account with this email address already exists. Sign in, or reset your password.")


def register(email: str, password: str, origin: Origin, *, proven: bool) -> EmailVerification | None:
    """Mail a code that proves a mailbox; ``complete_registration`` creates the account.

    If an invitation has already ``proven`` the mailbox, create the account at once and return None. If the email is
    taken, the answer is the same, and the owner of the account is notified by email (SR-3). Raises ``TooManyTries``.
    """
    throttles.take([REGISTRATIONS.by_network(origin)])
    hashed = make_password(password)  # before the look-up: the time is the same for known and unknown emails
    with transaction.atomic():
        if is_kept_free(email) or User.objects.filter(email_key=key_of(email)).exists():
            proof = unsent_proof(Purpose.REGISTER)
            tell_owner(email, origin, instead_of=proof)
            return proof
        if proven:
            _create_account(email, hashed, origin)
            return None
        return _ask(None, Purpose.REGISTER, origin, email=email, password=hashed)


def complete_registration(proof: EmailVerification, code: str, origin: Origin) -> User:
    """Create the account of a registration whose mailbox is proven by ``code``.

    Raises ``WrongCode`` (counted), ``VerificationOver`` or ``EmailTaken``.
    """

    def create(spent: EmailVerification, _user: User | None) -> User:
        return _create_account(spent.email, spent.password, origin)

    return spend(proof, code, create)


def _create_account(email: str, hashed: str, origin: Origin) -> User:
    """Create an account whose mailbox is proven. Raises ``EmailTaken``."""
    user = User(email=email, password=hashed, email_verified_at=timezone.now(), language=languages.of_newcomer())
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise EmailTaken from None
    security_log.record(user, Kind.REGISTERED, origin)
    security_log.record(user, Kind.EMAIL_VERIFIED, origin)
    return user


def is_kept_free(email: str, *, but_for: User | None = None) -> bool:
    """Return whether an email is reserved for its former account, which can still undo its change (SR-29)."""
    since = timezone.now() - settings.EMAIL_CHANGE_UNDO_WINDOW
    kept = EmailChange.objects.filter(old_email_key=key_of(email), undone_at=None, at__gt=since)
    return (kept.exclude(user=but_for) if but_for else kept).exists()


def tell_owner(email: str, origin: Origin, *, instead_of: EmailVerification) -> None:
    """Notify the account of an email, if there is one, that it was entered for another account.

    The mail carries the tag of the verification for which no code is mailed. Call within a transaction.
    """
    owner = User.objects.filter(email_key=key_of(email)).first()
    if owner and not mail_limits.take(mail_limits.NOTICES, owner.email_key, origin=origin, is_known_place=False):
        outbox.post("accounts.email_taken", user=owner, about=instead_of.pk)


def ask_reset(identifier: str, origin: Origin) -> EmailVerification:
    """Mail a code for a new password, if there is such an account. Raises ``TooManyTries``.

    The limit of a network does not apply to a known browser: others may have used it up (SR-57).
    """
    user = find_user(identifier)
    if user is None or not known_browsers.place_of(user, origin, channel=Channel.BROWSER):
        throttles.take([RESETS.by_network(origin)])
    with transaction.atomic():
        return _ask(user, Purpose.RESET_PASSWORD, origin, count_as=key_of(identifier))


def ask_confirmation(user: User, origin: Origin) -> EmailVerification:
    """Mail a code that confirms the mailbox of a user whose password was right (SR-23)."""
    with transaction.atomic():
        return _ask(user, Purpose.CONFIRM_MAILBOX, origin)


def find_user(identifier: str) -> User | None:
    """Return the active user with this username or email, who may reset the password; None if there is none."""
    try:
        user = User.objects.get_by_natural_key(identifier)
    except User.DoesNotExist:
        return None
    return user if user.is_active else None


def _ask(
    user: User | None, purpose: Purpose, origin: Origin, *, email: str = "", password: str = "", count_as: str = ""
) -> EmailVerification:
    """Create a verification and mail its code. For an unknown account, do the same without the email."""
    proof = new_proof(user, purpose, email=email, password=password)
    post(proof, origin, count_as=count_as)
    return proof


def new_proof(
    user: User | None, purpose: Purpose, *, email: str = "", password: str = "", can_be_right: bool = True
) -> EmailVerification:
    """Create a verification without mailing anything; ``email`` is the address to prove if not the account's."""
    lifetimes = {
        Purpose.REGISTER: settings.VERIFY_EMAIL_LIFETIME,
        Purpose.CONFIRM_MAILBOX: settings.CHALLENGE_LIFETIME,
        Purpose.RESET_PASSWORD: settings.PASSWORD_RESET_LIFETIME,
        Purpose.CHANGE_EMAIL: settings.PASSWORD_RESET_LIFETIME,
    }
    proof = EmailVerification(user=user, purpose=purpose, email=email, password=password)
    proof.expires_at = timezone.now() + lifetimes[purpose]
    if can_be_right and (user is not None or purpose == Purpose.REGISTER):
        proof.mailbox_key = key_of(email or (user.email if user else ""))
    proof.code = new_code(CODE_LENGTH)
    proof.save()
    return proof


def unsent_proof(purpose: Purpose, *, email: str = "") -> EmailVerification:
    """Create a verification that accepts no code, for a taken email. It looks as if it had been mailed (SR-3)."""
    proof = new_proof(None, purpose, email=email, can_be_right=False)
    proof.mails, proof.last_mail_at = 1, timezone.now()
    proof.save(update_fields=["mails", "last_mail_at"])
    return proof


def post(proof: EmailVerification, origin: Origin, *, count_as: str = "") -> None:
    """Mail the code of a verification unless its mailbox got too many emails lately. Call within a transaction.

    The page does not say which: that would reveal whether there is such an account. ``count_as`` is the key under which
    the mails of an unknown account are counted.
    """
    known = proof.user is not None and bool(known_browsers.place_of(proof.user, origin, channel=Channel.BROWSER))
    proof.mails += 1
    proof.last_mail_at = timezone.now()
    mailbox = proof.purpose, proof.mailbox_key or f"?{count_as}"
    if not mail_limits.take(mail_limits.MAILBOX_CODES, *mailbox, origin=origin, is_known_place=known):
        proof.mailed_at = proof.last_mail_at
        outbox.post("accounts.verification_code", user=proof.user, about=proof.pk, queue=outbox.OTP_QUEUE)
    proof.save(update_fields=["mails", "last_mail_at", "mailed_at"])


def resend(proof: EmailVerification, origin: Origin) -> None:
    """Mail the same code once more. Raises ``VerificationOver`` or ``TooManyMails``."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        proof = EmailVerification.objects.select_for_update().get(pk=proof.pk)
        if not proof.is_open(now):
            raise VerificationOver
        if proof.mails >= MAILS.count:
            raise TooManyMails
        if now < (ready := resend_at(proof)):
            raise TooManyMails(retry_at=ready)
        post(proof, origin, count_as=str(proof.pk))


def resend_at(proof: EmailVerification) -> datetime:
    """Return the time from which the next email may be asked for."""
    return (proof.last_mail_at or proof.created_at) + MAILS.interval


def find(proof_id: str | None, purpose: Purpose) -> EmailVerification | None:
    """Return the open verification with this id and purpose."""
    if not proof_id:
        return None
    proof = EmailVerification.objects.select_related("user").filter(pk=proof_id, purpose=purpose).first()
    return proof if proof and proof.is_open(timezone.now()) else None


def is_wanted(proof: EmailVerification) -> bool:
    """Return whether an email with the code is still of use, even after too many wrong codes (SR-57)."""
    return bool(proof.mailbox_key) and timezone.now() < proof.expires_at


def spend(proof: EmailVerification, code: str, then: Callable[[EmailVerification, User | None], User]) -> User:
    """Check a code, call ``then`` with the verification and its user in the same transaction, and return its result.

    Ends all verifications of the same mailbox and purpose. Raises ``WrongCode`` (counted) or ``VerificationOver``.
    """
    now = timezone.now()
    with counted():
        user = User.objects.select_for_update(no_key=True).filter(pk=proof.user_id).first() if proof.user_id else None
        proof = EmailVerification.objects.select_for_update().get(pk=proof.pk)
        if not proof.is_open(now):
            raise VerificationOver
        if not _is_right(proof, user, code, now):
            raise _count_failure(proof, now)
        _end_siblings(proof, now)
        if user and not proof.email:
            user.email_verified_at = user.email_verified_at or now
            user.mailbox_failed_at, user.mailbox_failure = None, ""  # the code arrived
            user.save(update_fields=["email_verified_at", "mailbox_failed_at", "mailbox_failure"])
        return then(proof, user)


def _siblings(proof: EmailVerification) -> "QuerySet[EmailVerification]":
    """Return the verifications of the same mailbox, purpose and user, including this one."""
    return EmailVerification.objects.filter(mailbox_key=proof.mailbox_key, purpose=proof.purpose, user=proof.user_id)


def _is_right(proof: EmailVerification, user: User | None, code: str, now: datetime) -> bool:
    """Return whether ``code`` was mailed for this verification, or lately for a sibling.

    Compares every candidate, so that the time taken does not reveal which one matched. A mailbox that is no longer the
    account's proves nothing.
    """
    if not proof.mailbox_key or (user and not proof.email and proof.mailbox_key != user.email_key):
        return False
    mailed = _siblings(proof).filter(mailed_at__gt=now - CODE_SHARING_WINDOW).order_by("-mailed_at")
    typed = code.encode("utf-8", "surrogatepass")
    candidates = [proof, *mailed[:MAX_SHARED_CODES]]
    matches = [compare_digest(other.code.encode(), typed) for other in candidates]
    return any(matches)


def _end_siblings(proof: EmailVerification, now: datetime) -> None:
    """End every verification of a mailbox and purpose, so that none of their codes works again."""
    # Registrations have no user row to lock. One that another transaction is spending now is left to that transaction.
    keys = list(_siblings(proof).select_for_update(skip_locked=True).values_list("pk", flat=True))
    EmailVerification.objects.filter(pk__in=keys).update(ended_at=now, mailbox_key="")


def end_proofs(user: User) -> None:
    """End the open verifications of a user: their codes went to an email that is no longer the account's."""
    EmailVerification.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now(), mailbox_key="")


def _count_failure(proof: EmailVerification, now: datetime) -> Counted:
    proof.failures += 1
    proof.ended_at = now if proof.failures >= WRONG_CODES.count else None
    proof.save(update_fields=["failures", "ended_at"])
    return LastWrongCode() if proof.ended_at else WrongCode()


def confirm_mailbox(proof: EmailVerification, code: str, origin: Origin) -> User:
    """Record that the user's mailbox is proven. Raises ``WrongCode`` (counted) or ``VerificationOver``."""

    def note(_proof: EmailVerification, user: User | None) -> User:
        if user is None:
            raise VerificationOver
        security_log.record(user, Kind.EMAIL_VERIFIED, origin)
        return user

    return spend(proof, code, note)


def reset_password(
    proof: EmailVerification, code: str, password: str, origin: Origin, *, also: Callable[[User], None]
) -> User:
    """Set a new password. Sign no one in and keep every factor (SR-27).

    Ends all sessions, tokens and pending sign-ins and removes the SSH keys, so that an attacker who had broken in keeps
    no way in. Resets the limits that attackers have used up (SR-57); ``also`` does so in the same transaction for
    limits of other apps. Raises ``WrongCode`` (counted) or ``VerificationOver``, and Django's ``ValidationError`` (the
    code is not spent) if the password is too weak for this account.
    """

    def set_password(_proof: EmailVerification, user: User | None) -> User:
        if user is None:
            raise VerificationOver
        validate_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password", "withdrawn_password"])
        sessions.end_others(user, keep=None)
        PublicKey.objects.filter(user=user).delete()
        known_browsers.forget_all(user)
        throttles.give_back(signin.password_slots_of(user))
        also(user)
        security_log.record(user, Kind.PASSWORD_RESET, origin)
        return user

    return spend(proof, code, set_password)

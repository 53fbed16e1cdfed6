"""Proving a mailbox by a mailed code: to register, for a new password, before the first factor.

A code instead of a link: mail scanners open links, and no secret belongs in a URL (SR-19, SR-47). The proof
is found by an id that the browser's session keeps, so the browser that asked is the one that confirms.

Anonymous requests can use up the mails of a mailbox. Its owner needs no mail of their own then: each code that was
mailed there in the last hour works in every browser that has asked for the same (SR-57).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hmac import compare_digest

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import known_browsers, mail_limits, outbox, security_log, sessions, signin, throttles
from accounts.identifiers import key_of, new_code
from accounts.models import Channel, EmailChange, EmailVerification, PublicKey, User
from accounts.refusals import Counted, Refused, counted
from accounts.security_log import Kind, Origin

Purpose = EmailVerification.Purpose

CODE_LENGTH = 9  # of 29 signs: 43 bits against five guesses
MAX_FAILURES = 5
MAX_MAILS = 5
# A mailed code opens other proofs of the same mailbox and purpose for so long: as long as a mail limit lasts.
CODE_SHARING_WINDOW = timedelta(hours=1)
MAX_SHARED_CODES = 20


class WrongCode(Counted):
    """Not the code of the mail."""

    message = _("That code is not right. Copy it from the newest email that we sent you.")


class VerificationOver(Refused):
    """Expired, used, or guessed at too often."""

    message = _("That code has expired or was used. Please ask for a new one.")


class LastWrongCode(Counted, VerificationOver):
    """The wrong code that ended the proof."""


class TooManyMails(Refused):
    """Asked again too soon, or too often."""

    message = _("We have just sent you an email. Please wait a little before asking for another one.")


class EmailTaken(Refused):
    """Another account took the address while this one waited for its code."""

    message = _("This address has an account by now. Sign in, or ask for a new password.")


def register(email: str, password: str, origin: Origin, *, proven: bool) -> EmailVerification | None:
    """Mail a code that proves a mailbox; the account comes with it (``complete_registration``).

    Where the mailbox was ``proven`` already, by an invitation, make the account at once and return None. For an address
    that is taken the answer is the same, and its owner is told by mail instead (SR-3). Raises ``TooManyTries``.
    """
    _limit_by_network("register", origin)
    hashed = make_password(password)  # before the look-up: as much work whether the address is known or not
    with transaction.atomic():
        if is_kept_free(email) or User.objects.filter(email_key=key_of(email)).exists():
            tell_owner(email, origin)
            return unsent_proof(Purpose.REGISTER)
        if proven:
            _create_account(email, hashed, origin)
            return None
        return _ask(None, Purpose.REGISTER, origin, email=email, password=hashed)


def complete_registration(proof: EmailVerification, code: str, origin: Origin) -> User:
    """Make the account of a registration whose mailbox is proven by ``code``.

    Raises ``WrongCode`` (counted), ``VerificationOver`` or ``EmailTaken``.
    """

    def create(spent: EmailVerification, _user: User | None) -> User:
        return _create_account(spent.email, spent.password, origin)

    return spend(proof, code, create)


def _create_account(email: str, hashed: str, origin: Origin) -> User:
    """Create an account whose mailbox is proven. Raises ``EmailTaken``."""
    user = User(email=email, password=hashed, email_verified_at=timezone.now())
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise EmailTaken from None
    security_log.record(user, Kind.REGISTERED, origin)
    security_log.record(user, Kind.EMAIL_VERIFIED, origin)
    return user


def is_kept_free(email: str, *, but_for: User | None = None) -> bool:
    """Whether an address was somebody's until lately, who may still want it back (SR-29)."""
    since = timezone.now() - settings.EMAIL_CHANGE_UNDO_WINDOW
    kept = EmailChange.objects.filter(old_email_key=key_of(email), undone_at=None, at__gt=since)
    return (kept.exclude(user=but_for) if but_for else kept).exists()


def tell_owner(email: str, origin: Origin) -> None:
    """Tell the owner of an address that it was given for another account, if it has one. Call within a transaction."""
    owner = User.objects.filter(email_key=key_of(email)).first()
    if owner and not mail_limits.take(mail_limits.NOTICES, owner.email_key, origin, is_known_place=False):
        outbox.post("accounts.email_taken", user=owner)


def _limit_by_network(kind: str, origin: Origin) -> None:
    hour = timedelta(hours=1)
    throttles.take([throttles.by_network(kind, origin, count=settings.IP_MAILS_PER_HOUR, window=hour)])


def ask_reset(identifier: str, origin: Origin) -> EmailVerification:
    """Mail a code for a new password, if there is such an account. Raises ``TooManyTries``.

    The limit of a network, which its strangers may have used up, does not hold back a known browser (SR-57).
    """
    user = find_user(identifier)
    if user is None or not known_browsers.place_of(user, origin, channel=Channel.BROWSER):
        _limit_by_network("reset", origin)
    with transaction.atomic():
        return _ask(user, Purpose.RESET_PASSWORD, origin, count_as=key_of(identifier))


def ask_confirmation(user: User, origin: Origin) -> EmailVerification:
    """Mail a code that confirms the mailbox of a user whose password was right (SR-23)."""
    with transaction.atomic():
        return _ask(user, Purpose.CONFIRM_MAILBOX, origin)


def find_user(identifier: str) -> User | None:
    """Return who may reset a password: the active account with this user name or address, if there is one."""
    try:
        user = User.objects.get_by_natural_key(identifier)
    except User.DoesNotExist:
        return None
    return user if user.is_active else None


def _ask(
    user: User | None, purpose: Purpose, origin: Origin, *, email: str = "", password: str = "", count_as: str = ""
) -> EmailVerification:
    """Open a proof and mail its code. For an unknown account everything happens but the mail."""
    proof = new_proof(user, purpose, email=email, password=password)
    post(proof, origin, count_as=count_as)
    return proof


def new_proof(
    user: User | None, purpose: Purpose, *, email: str = "", password: str = "", can_be_right: bool = True
) -> EmailVerification:
    """Open a proof without mailing anything; ``email`` is the address to prove where it is not the account's."""
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
    """Open a proof that no code is right for: of an address that is taken. It looks as if it had been mailed (SR-3)."""
    proof = new_proof(None, purpose, email=email, can_be_right=False)
    proof.mails, proof.last_mail_at = 1, timezone.now()
    proof.save(update_fields=["mails", "last_mail_at"])
    return proof


def post(proof: EmailVerification, origin: Origin, *, count_as: str = "") -> None:
    """Mail the code of a proof unless its mailbox had too many mails lately. Call within a transaction.

    The page does not say which: that would tell whether there is such an account. ``count_as`` names an unknown one.
    """
    known = proof.user is not None and bool(known_browsers.place_of(proof.user, origin, channel=Channel.BROWSER))
    kind = f"{mail_limits.MAILBOX_CODES}-{proof.purpose}"
    proof.mails += 1
    proof.last_mail_at = timezone.now()
    if not mail_limits.take(kind, proof.mailbox_key or f"?{count_as}", origin, is_known_place=known):
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
        if proof.mails >= MAX_MAILS:
            raise TooManyMails
        if now < (ready := resend_at(proof)):
            raise TooManyMails(retry_at=ready)
        post(proof, origin, count_as=str(proof.pk))


def resend_at(proof: EmailVerification) -> datetime:
    """Return when the next mail may be asked for."""
    return (proof.last_mail_at or proof.created_at) + settings.OTP_MAIL_PAUSE


def find(proof_id: str | None, purpose: Purpose) -> EmailVerification | None:
    """Return the open proof with this id and purpose."""
    if not proof_id:
        return None
    proof = EmailVerification.objects.select_related("user").filter(pk=proof_id, purpose=purpose).first()
    return proof if proof and proof.is_open(timezone.now()) else None


def is_wanted(proof: EmailVerification) -> bool:
    """Return whether a mail with the code of a proof is of use: also where its own guesses are used up (SR-57)."""
    return bool(proof.mailbox_key) and timezone.now() < proof.expires_at


def spend(proof: EmailVerification, code: str, then: Callable[[EmailVerification, User | None], User]) -> User:
    """Check a code and, in the same transaction, do ``then`` for the proof and its user; return what that returns.

    Proofs of the same mailbox and purpose end with it. Raises ``WrongCode`` (counted) or
    ``VerificationOver``.
    """
    now = timezone.now()
    with counted():
        user = User.objects.select_for_update(no_key=True).filter(pk=proof.user_id).first() if proof.user_id else None
        proof = EmailVerification.objects.select_for_update().get(pk=proof.pk)
        if not proof.is_open(now):
            raise VerificationOver
        if not _is_right(proof, user, code, now):
            raise _count_failure(proof, now)
        _end_with_its_siblings(proof, now)
        if user and not proof.email:
            user.email_verified_at = user.email_verified_at or now
            user.save(update_fields=["email_verified_at"])
        return then(proof, user)


def _siblings(proof: EmailVerification) -> "QuerySet[EmailVerification]":
    """Return the proofs of the same mailbox, purpose and user, itself among them."""
    return EmailVerification.objects.filter(mailbox_key=proof.mailbox_key, purpose=proof.purpose, user=proof.user_id)


def _is_right(proof: EmailVerification, user: User | None, code: str, now: datetime) -> bool:
    """Return whether ``code`` was mailed for a proof, or lately for another one of its mailbox and purpose.

    Every one is compared: the time taken must not tell which it was. A mailbox that is no longer the account's proves
    nothing.
    """
    if not proof.mailbox_key or (user and not proof.email and proof.mailbox_key != user.email_key):
        return False
    mailed = _siblings(proof).filter(mailed_at__gt=now - CODE_SHARING_WINDOW).order_by("-mailed_at")
    typed = code.encode("utf-8", "surrogatepass")
    candidates = [proof, *mailed[:MAX_SHARED_CODES]]
    return any([compare_digest(other.code.encode(), typed) for other in candidates])  # noqa: C419


def _end_with_its_siblings(proof: EmailVerification, now: datetime) -> None:
    """End every proof of a mailbox and purpose: none of their codes is right again."""
    # Registrations share no user's lock: one that is being spent this very moment is left to its own transaction.
    keys = list(_siblings(proof).select_for_update(skip_locked=True).values_list("pk", flat=True))
    EmailVerification.objects.filter(pk__in=keys).update(ended_at=now, mailbox_key="")


def end_proofs(user: User) -> None:
    """End the open proofs of a user: their codes went to an address that is no longer the account's."""
    EmailVerification.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now(), mailbox_key="")


def _count_failure(proof: EmailVerification, now: datetime) -> Counted:
    proof.failures += 1
    proof.ended_at = now if proof.failures >= MAX_FAILURES else None
    proof.save(update_fields=["failures", "ended_at"])
    return LastWrongCode() if proof.ended_at else WrongCode()


def confirm_mailbox(proof: EmailVerification, code: str, origin: Origin) -> User:
    """Note that the mailbox is the user's. Raises ``WrongCode`` (counted) or ``VerificationOver``."""

    def note(_proof: EmailVerification, user: User | None) -> User:
        if user is None:
            raise VerificationOver
        security_log.record(user, Kind.EMAIL_VERIFIED, origin)
        return user

    return spend(proof, code, note)


def reset_password(
    proof: EmailVerification, code: str, password: str, origin: Origin, *, also: Callable[[User], None]
) -> User:
    """Set a new password. It signs in no one and leaves every factor as it is (SR-27).

    Ends all sessions, tokens and pending sign-ins and removes the SSH keys: an attacker who had broken in must not keep
    a way in. What attackers have used up is given back to the owner (SR-57); ``also`` does so in the same transaction
    for what this app does not know. Raises ``WrongCode`` (counted) or ``VerificationOver``, and Django's
    ``ValidationError`` (the code is not spent) if the password is too weak for this very account.
    """

    def set_password(_proof: EmailVerification, user: User | None) -> User:
        if user is None:
            raise VerificationOver
        validate_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        sessions.end_others(user, keep=None)
        PublicKey.objects.filter(user=user).delete()
        known_browsers.forget_all(user)
        throttles.give_back(signin.passwords_of(user))
        also(user)
        security_log.record(user, Kind.PASSWORD_RESET, origin)
        return user

    return spend(proof, code, set_password)

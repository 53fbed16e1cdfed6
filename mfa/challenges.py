"""Challenges: asking for a code and spending it, at sign-in, for a step-up and for an enrolment.

``judge`` counts every code of a challenge. The lock on the user's row comes first, so no code can be spent twice, in
two challenges or in browser and command line (SR-12).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import known_browsers, mail_limits, outbox, security_log, signin
from accounts.housekeeping import RETENTION, delete_in_batches
from accounts.limits import Limit
from accounts.models import Channel, SignInAttempt, User
from accounts.refusals import Refused, counted
from accounts.security_log import Kind, Origin
from accounts.throttles import Slot
from mfa import assisted_reset, code_failures, codes, factors, modes, recovery, remaining_tries
from mfa.code_refusals import RefusedCode, WrongCode
from mfa.factors import NotEnabled
from mfa.models import Challenge, Factor

log = structlog.get_logger(__name__)

Proof = TypeVar("Proof")

WRONG_CODES = Limit(what="wrong one-time passwords", per="challenge", tries="OTP_FAILURES_PER_CHALLENGE")
MAILS = Limit(
    what="mails with one-time passwords", per="challenge", tries="OTP_MAILS_PER_CHALLENGE",
    pause="OTP_MAIL_PAUSE",
)  # fmt: skip


class NotACode(Refused):
    """The text is neither six digits nor a recovery code. Not counted."""

    message = _("A one-time password has six digits. Check it and type it again.")


class TooManyFailures(Refused):
    """The account has too many wrong codes. The code was not checked."""

    message = _("Too many wrong codes.")


class ChallengeOver(Refused):
    """The challenge has expired, was answered or replaced, or had too many wrong codes. The code was not checked."""

    message = _("This one-time password prompt has expired or was already used. Start again.")


class MailTooSoon(Refused):
    """The last code was mailed less than ``OTP_MAIL_PAUSE`` ago."""

    message = _("We have just sent you a code. Wait a little before you ask for another one.")


class TooManyMails(Refused):
    """The email limit of this challenge, or of this account in an hour, is used up."""

    message = _("We cannot send more codes for now. A code that you have already received still works.")


def begin(
    user: User, purpose: str, *, mode: str, attempt: SignInAttempt | None = None, lifetime: timedelta | None = None
) -> Challenge:
    """Create a challenge. Mail nothing yet.

    Expires with ``attempt`` if given; ``lifetime`` is then ignored.
    """
    challenge = Challenge(
        user=user, purpose=purpose, mode=mode, attempt=attempt, credential_fingerprint=user.get_session_auth_hash()
    )
    challenge.expires_at = timezone.now() + (lifetime or settings.CHALLENGE_LIFETIME)
    if attempt is not None:
        challenge.expires_at = attempt.expires_at
    challenge.secret = codes.new_secret()
    challenge.save()
    return challenge


def normalize_code(typed: str) -> str:
    """Return the typed code without spaces and dashes, as it is checked. Raises ``NotACode``."""
    code = codes.digits_of(typed) or recovery.normal(typed)
    if code is None:
        raise NotACode
    return code


def begin_sign_in(user: User, *, channel: Channel, origin: Origin, by_key: bool = False) -> Challenge:
    """Create the sign-in challenge of a user with MFA on, whose first proof was right. Mail nothing yet."""
    attempt = signin.begin(user, channel=channel, origin=origin, by_key=by_key)
    mode = factors.for_terminal(user) if channel == Channel.CLI else user.preferred_mode
    return begin(user, Challenge.Purpose.SIGN_IN, mode=mode, attempt=attempt)


def find_sign_in(challenge_id: str | None, *, channel: Channel) -> Challenge | None:
    """Return the open sign-in challenge with this id, if it belongs to this channel."""
    challenge = find(challenge_id, Challenge.Purpose.SIGN_IN, attempt__channel=channel)
    return challenge if challenge and challenge.attempt and challenge.attempt.is_open(timezone.now()) else None


def find(challenge_id: str | None, purpose: str, **filters: object) -> Challenge | None:
    """Return the open challenge with this id and purpose, with its user and attempt. One query."""
    if not challenge_id:
        return None
    challenge = (
        Challenge.objects.select_related("user", "attempt").filter(pk=challenge_id, purpose=purpose, **filters).first()
    )
    return challenge if challenge and challenge.is_open(timezone.now()) else None


def known_place_of(challenge: Challenge, origin: Origin) -> str:
    """Return the name of the browser or network of a challenge if a factor was proven there before, else blank."""
    if challenge.attempt:
        return challenge.attempt.known_place
    return known_browsers.place_of(challenge.user, origin, channel=Channel.BROWSER, by_factor=True)


def send_code(challenge: Challenge, origin: Origin) -> None:
    """Mail the code of a challenge. Every email of a challenge carries the same code.

    Raises ``MailTooSoon`` or ``TooManyMails``, with ``retry_at`` if known, or ``ChallengeOver``.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        user, challenge = lock(challenge)
        if not challenge.is_open(now) or not modes.get(challenge.mode).is_mailed:
            raise ChallengeOver
        _refuse_too_many_mails(user, challenge, now, origin)
        challenge.mails += 1
        challenge.last_mail_at = now
        challenge.save(update_fields=["mails", "last_mail_at"])
        outbox.post("mfa.one_time_password", user=user, about=challenge.pk, queue=outbox.OTP_QUEUE)


def _refuse_too_many_mails(user: User, challenge: Challenge, now: datetime, origin: Origin) -> None:
    """Raise ``MailTooSoon`` or ``TooManyMails`` (SR-17). Asking for an email never resets the wrong codes."""
    if challenge.last_mail_at and now < resend_at(challenge):
        raise MailTooSoon(retry_at=resend_at(challenge))
    if challenge.mails >= MAILS.count:
        raise TooManyMails
    is_known = bool(known_place_of(challenge, origin))
    refusal = mail_limits.take(mail_limits.ONE_TIME_PASSWORDS, user.pk, origin=origin, is_known_place=is_known)
    if refusal:
        raise TooManyMails(retry_at=refusal.retry_at)


def resend_at(challenge: Challenge) -> datetime:
    """Return the time from which the next email may be asked for."""
    return (challenge.last_mail_at or challenge.created_at - MAILS.interval) + MAILS.interval


def switch(challenge: Challenge, mode: str) -> Challenge:
    """Use another enabled mode for this challenge only. Raises ``NotEnabled`` or ``ChallengeOver``."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        user, challenge = lock(challenge)
        if not challenge.is_open(now):
            raise ChallengeOver
        if mode not in modes.ALL or not Factor.objects.filter(user=user, mode=mode).exists():
            raise NotEnabled
        challenge.mode = mode
        challenge.save(update_fields=["mode"])
    return challenge


def answer(challenge: Challenge, otp: str, origin: Origin) -> Factor:
    """Spend ``otp`` (six ASCII digits, or a recovery code) on a challenge, and finish its sign-in, if any.

    Returns the factor that the code proved or replaced, with its user. Raises a ``RefusedCode`` (counted), or
    ``TooManyFailures`` or ``ChallengeOver`` (``otp`` was not checked).
    """
    with counted():
        user, challenge = lock(challenge)
        factor: Factor | None = Factor.objects.filter(user=user, mode=challenge.mode).first()
        if factor is None:
            raise ChallengeOver
        factor.user = user
        factor.proved_as = judge(challenge, otp, origin, partial(_spend, challenge, factor, otp, origin))
        if factor.proved_as != assisted_reset.MODE:
            assisted_reset.cancel(user, origin)
        if challenge.attempt:
            signin.finish(challenge.attempt, origin, mode=factor.proved_as)
    return factor


def judge(challenge: Challenge, otp: str, origin: Origin, check: Callable[[], Proof]) -> Proof:
    """Call ``check`` to check a code, and return its result. Call under the lock, within ``counted()``.

    A correct code ends the challenge. Raises the ``RefusedCode`` of ``check`` after counting it, or ``ChallengeOver``
    or ``TooManyFailures`` without calling ``check``.
    """
    now = timezone.now()
    if not challenge.is_open(now):
        raise ChallengeOver
    slot = _slot_of(challenge, otp, origin)
    if blocked := code_failures.refusal_of(slot):
        raise TooManyFailures(retry_at=blocked.retry_at)
    try:
        proof = check()
    except RefusedCode as refusal:
        _count_failure(challenge, slot, now, origin)
        _add_tries_left(refusal, challenge, slot)
        raise
    challenge.ended_at = now
    challenge.save(update_fields=["ended_at"])
    code_failures.forgive(challenge.user, known_place_of(challenge, origin))
    return proof


def _slot_of(challenge: Challenge, otp: str, origin: Origin) -> Slot:
    """Return the throttle slot that a wrong code counts in: recovery codes and one-time passwords have one each."""
    place = known_place_of(challenge, origin)
    if len(otp) == recovery.LENGTH:
        return code_failures.recovery_slot_of(challenge.user, place, origin)
    return code_failures.slot_of(challenge.user, place)


def lock(challenge: Challenge) -> tuple[User, Challenge]:
    """Lock and reread the user, then the challenge: the caller read them before the lock."""
    user = User.objects.select_for_update(no_key=True).get(pk=challenge.user_id)
    challenge = Challenge.objects.select_for_update(of=("self",)).select_related("attempt").get(pk=challenge.pk)
    challenge.user = user
    return user, challenge


def _spend(challenge: Challenge, factor: Factor, otp: str, origin: Origin) -> str:
    """Spend six digits, a recovery code or the code of an assisted reset; return what it proves. Raises a refusal."""
    if len(otp) != recovery.LENGTH:
        _spend_digits(challenge, factor, otp, timezone.now())
        return str(factor.mode)
    if recovery.spend(challenge.user, otp, origin):
        return recovery.MODE
    # Only in a browser: its session is limited to enrolling a new factor, and a command-line token cannot be.
    in_browser = challenge.attempt is not None and challenge.attempt.channel == Channel.BROWSER
    if in_browser and assisted_reset.spend(challenge.user, otp, origin):
        return assisted_reset.MODE
    raise WrongCode


def _spend_digits(challenge: Challenge, factor: Factor, otp: str, now: datetime) -> None:
    modes.get(factor.mode).spend(factor, challenge, otp, now=now)
    factor.last_used_at = now
    factor.save(update_fields=["last_step", "drift", "last_used_at"])


def _count_failure(challenge: Challenge, slot: Slot, now: datetime, origin: Origin) -> None:
    """Count a wrong code for the challenge and the account. The last one ends the challenge (SR-15)."""
    user = challenge.user
    code_failures.count(slot)
    challenge.failures += 1
    if challenge.failures >= WRONG_CODES.count:
        challenge.ended_at = now
        if challenge.attempt:
            signin.cancel(challenge.attempt)
    challenge.save(update_fields=["failures", "ended_at"])
    security_log.record(user, Kind.CODE_REFUSED, origin, mode=challenge.mode)
    log.info("mfa.code_refused", user_id=str(user.pk), purpose=challenge.purpose, mode=challenge.mode)


def _add_tries_left(refusal: RefusedCode, challenge: Challenge, slot: Slot) -> None:
    """Add to a refusal how many tries are left. The command line has only one try, so nothing is added."""
    at_command_line = challenge.attempt is not None and challenge.attempt.channel == Channel.CLI
    if not at_command_line:
        refusal.is_last = challenge.ended_at is not None
        refusal.left = remaining_tries.left_in_words(challenge, slot)


def code_is_wanted(challenge: Challenge) -> bool:
    """Return whether an email with the code is still of use (SR-50)."""
    return challenge.is_open(timezone.now()) and challenge.mails > 0


def forget_expired() -> int:
    """Delete expired challenges, including abandoned enrolments (SR-21). Return the number deleted."""
    return delete_in_batches(Challenge.objects.filter(expires_at__lt=timezone.now() - RETENTION))

"""Asking for a code and spending it: at sign-in and for a step-up. The one place that checks a code.

The lock on the user's row comes first, so neither two challenges nor two doors can spend one code (SR-12).
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


class NotACode(Refused):
    """Neither six digits nor a recovery code; not counted."""

    message = _("A one-time password has six digits. Type them without a blank between them.")


class TooManyFailures(Refused):
    """Too many wrong codes for this account; the code was not looked at."""

    message = _("Too many wrong codes. For your safety no code is accepted for a while.")


class ChallengeOver(Refused):
    """Expired, answered, replaced or guessed at too often; the code was not looked at."""

    message = _("This one-time password prompt has expired or was used. Please sign in again.")


class MailTooSoon(Refused):
    """A mail was sent moments ago."""

    message = _("We have just sent you a code. Please wait a little before asking for another one.")


class TooManyMails(Refused):
    """The mails of this challenge, or of this account in an hour, are used up."""

    message = _(
        "No more codes can be sent for now. A code that you already received still works; else try again later."
    )


def begin(
    user: User, purpose: str, *, mode: str, attempt: SignInAttempt | None = None, lifetime: timedelta | None = None
) -> Challenge:
    """Open a challenge. Nothing is mailed yet."""
    challenge = Challenge(
        user=user, purpose=purpose, mode=mode, attempt=attempt, credential_fingerprint=user.get_session_auth_hash()
    )
    challenge.expires_at = timezone.now() + (lifetime or settings.CHALLENGE_LIFETIME)
    if attempt is not None:
        challenge.expires_at = attempt.expires_at
    challenge.secret = codes.new_secret()
    challenge.save()
    return challenge


def as_typed(typed: str) -> str:
    """Bring what a person typed into the form in which it is checked. Raises ``NotACode`` if it cannot be a code."""
    code = codes.digits_of(typed) or recovery.normal(typed)
    if code is None:
        raise NotACode
    return code


def begin_sign_in(user: User, *, channel: Channel, origin: Origin, by_key: bool = False) -> Challenge:
    """Open the sign-in of a user whose first proof was right and who has MFA on. Nothing is mailed yet."""
    attempt = signin.begin(user, channel=channel, origin=origin, by_key=by_key)
    mode = factors.for_terminal(user) if channel == Channel.CLI else user.preferred_mode
    return begin(user, Challenge.Purpose.SIGN_IN, mode=mode, attempt=attempt)


def find_sign_in(challenge_id: str | None, *, channel: Channel) -> Challenge | None:
    """Find the open challenge of a sign-in of this channel; one of the other channel does not exist here."""
    challenge = find(challenge_id, Challenge.Purpose.SIGN_IN, attempt__channel=channel)
    return challenge if challenge and challenge.attempt and challenge.attempt.is_open(timezone.now()) else None


def find(challenge_id: str | None, purpose: str, **filters: object) -> Challenge | None:
    """Find an open challenge of this purpose, with its user and attempt. One query."""
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
    """Mail the code of a challenge; each mail of one challenge carries the same code.

    Raises ``MailTooSoon`` or ``TooManyMails`` with the time from which it works again, or ``ChallengeOver``.
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
    """Raise ``MailTooSoon`` or ``TooManyMails`` (SR-17). Asking for a mail never changes the number of guesses."""
    if challenge.last_mail_at and now < resend_at(challenge):
        raise MailTooSoon(retry_at=resend_at(challenge))
    if challenge.mails >= settings.OTP_MAILS_PER_CHALLENGE:
        raise TooManyMails
    is_known = bool(known_place_of(challenge, origin))
    refusal = mail_limits.take(mail_limits.ONE_TIME_PASSWORDS, str(user.pk), origin, is_known_place=is_known)
    if refusal:
        raise TooManyMails(retry_at=refusal.retry_at)


def resend_at(challenge: Challenge) -> datetime:
    """When the next mail may be asked for."""
    return (challenge.last_mail_at or challenge.created_at - settings.OTP_MAIL_PAUSE) + settings.OTP_MAIL_PAUSE


def switch(challenge: Challenge, mode: str) -> Challenge:
    """Ask for another enabled mode in this challenge alone; the preference stays. Raises ``NotEnabled``."""
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
    """Spend ``otp`` (six ASCII digits, or a recovery code) on a challenge; a sign-in's attempt is finished with it.

    Returns the factor that proved it, or in whose place the recovery code stood, with its user. Raises a
    ``RefusedCode`` (counted), or ``TooManyFailures`` or ``ChallengeOver`` (``otp`` was not looked at).
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
    """Let ``check`` look at a code, and return what it proves. Call under the lock, within ``counted()``.

    A right code closes the challenge. Raises the ``RefusedCode`` of ``check`` once it is counted, or ``ChallengeOver``
    or ``TooManyFailures`` without a look at the code.
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
        _tell_what_is_left(refusal, challenge, slot)
        raise
    challenge.ended_at = now
    challenge.save(update_fields=["ended_at"])
    code_failures.forgive(challenge.user, known_place_of(challenge, origin))
    return proof


def _slot_of(challenge: Challenge, otp: str, origin: Origin) -> Slot:
    """Return where a wrong code is counted: a recovery code apart from one-time passwords."""
    place = known_place_of(challenge, origin)
    if len(otp) == recovery.LENGTH:
        return code_failures.recovery_slot_of(challenge.user, place, origin)
    return code_failures.slot_of(challenge.user, place)


def lock(challenge: Challenge) -> tuple[User, Challenge]:
    """Lock and reread the user, then the challenge: what a door has read is older than the lock."""
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
    # Only at a browser's sign-in: its session opens an enrolment and nothing else, which no token could.
    in_browser = challenge.attempt is not None and challenge.attempt.channel == Channel.BROWSER
    if in_browser and assisted_reset.spend(challenge.user, otp, origin):
        return assisted_reset.MODE
    raise WrongCode


def _spend_digits(challenge: Challenge, factor: Factor, otp: str, now: datetime) -> None:
    modes.get(factor.mode).spend(factor, challenge, otp, now=now)
    factor.last_used_at = now
    factor.save(update_fields=["last_step", "drift", "last_used_at"])


def _count_failure(challenge: Challenge, slot: Slot, now: datetime, origin: Origin) -> None:
    """Count a wrong code for the challenge and for the account; the last one ends the challenge (SR-15)."""
    user = challenge.user
    code_failures.count(slot)
    challenge.failures += 1
    if challenge.failures >= settings.OTP_FAILURES_PER_CHALLENGE:
        challenge.ended_at = now
        if challenge.attempt:
            signin.cancel(challenge.attempt)
    challenge.save(update_fields=["failures", "ended_at"])
    security_log.record(user, Kind.CODE_REFUSED, origin, mode=challenge.mode)
    log.info("mfa.code_refused", user_id=str(user.pk), purpose=challenge.purpose, mode=challenge.mode)


def _tell_what_is_left(refusal: RefusedCode, challenge: Challenge, slot: Slot) -> None:
    """Let a refusal say how many tries are left. At the command line there is one, which is over."""
    at_command_line = challenge.attempt is not None and challenge.attempt.channel == Channel.CLI
    if not at_command_line:
        refusal.is_last = challenge.ended_at is not None
        refusal.left = remaining_tries.left_in_words(challenge, slot)


def is_wanted(challenge: Challenge) -> bool:
    """Whether a mail with its code would still be of use (SR-50)."""
    return challenge.is_open(timezone.now()) and challenge.mails > 0


def forget_expired() -> int:
    """Delete challenges that expired; an abandoned enrolment leaves nothing behind (SR-21). Gives how many."""
    return delete_in_batches(Challenge.objects.filter(expires_at__lt=timezone.now() - RETENTION))

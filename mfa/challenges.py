"""Challenges: asking for a code and spending it, at sign-in, for a step-up and for an enrolment.

``judge`` counts every code of a challenge. The lock on the user's row comes first, so no code can be spent twice, in
two challenges or in browser and command line (SR-12).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import delivery, known_browsers, mail_limits, metrics, outbox, security_log, signin, throttles
from accounts.housekeeping import RETENTION, delete_in_batches
from accounts.identifiers import tag_of
from accounts.limits import Limit
from accounts.models import Channel, User
from accounts.refusals import Refused, counted, wait_in_words
from accounts.security_log import Kind, Origin
from accounts.signin import Proof
from accounts.throttles import Slot
from mfa import (
    assisted_reset,
    code_failures,
    codes,
    factors,
    modes,
    recovery,
    remaining_tries,
    shown_codes,
    unfinished_sign_ins,
)
from mfa.code_refusals import EarlierCode, RefusedCode, WrongCode
from mfa.factors import NotEnabled
from mfa.models import Challenge, Factor

log = structlog.get_logger(__name__)

Checked = TypeVar("Checked")

UNKNOWN_ORIGIN = Origin()
WRONG_CODES = Limit(what="wrong one-time passwords", per="challenge", tries="OTP_FAILURES_PER_CHALLENGE")
MAILS = Limit(
    what="mails with one-time passwords", per="challenge", tries="OTP_MAILS_PER_CHALLENGE",
    pause="OTP_MAIL_PAUSE",
)  # fmt: skip
EARLIER_MAILS = 20  # challenges whose mailed codes are recognised, for a message


class NotACode(Refused):
    """The text is neither six digits nor a recovery code. Not counted."""

    message = _("A one-time password has six digits. Check it and type it again.")


class TooManyFailures(Refused):
    """The account has too many wrong codes. The code was not checked. ``way_out``: what still works, in a sentence."""

    message = _("Too many wrong codes.")

    def __init__(self, *, retry_at: datetime | None, way_out: str = "") -> None:
        super().__init__(retry_at=retry_at)
        self.way_out = way_out

    @property
    def text(self) -> str:
        """The message, how long to wait, and what still works."""
        return f"{super().text} {self.way_out}".strip()


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
    user: User, purpose: str, *, mode: str, origin: Origin = UNKNOWN_ORIGIN, lifetime: timedelta | None = None
) -> Challenge:
    """Create a challenge. Mail nothing yet; its mails name the browser of ``origin``."""
    challenge = _new(user, purpose, mode=mode, lifetime=lifetime)
    challenge.ip_address, challenge.agent = origin.ip_address, origin.agent[:255]
    challenge.save(force_insert=True)
    return challenge


def _new(user: User, purpose: str, *, mode: str, lifetime: timedelta | None = None) -> Challenge:
    """Return an unsaved challenge. It is over if the credentials of ``user`` have changed since that row was read."""
    challenge = Challenge(user=user, purpose=purpose, mode=mode, credential_fingerprint=user.get_session_auth_hash())
    challenge.expires_at = timezone.now() + (lifetime or settings.CHALLENGE_LIFETIME)
    challenge.secret = codes.new_secret()
    return challenge


def normalize_code(typed: str) -> str:
    """Return the typed code without spaces and dashes, as it is checked. Raises ``NotACode``."""
    code = codes.digits_of(typed) or recovery.normal(typed)
    if code is None:
        raise NotACode
    return code


def begin_sign_in(user: User, *, channel: Channel, origin: Origin, by_key: bool = False) -> Challenge:
    """Create the sign-in challenge of a user with MFA on, whose first proof was right, and mail its code if it is due.

    ``user`` is the row that the proof was checked against. If an email limit is used up, ``mail_refusal`` is set.
    """
    mode = factors.for_terminal(user) if channel == Channel.CLI else user.preferred_mode
    challenge = new_sign_in(user, mode, channel=channel, origin=origin)
    challenge.by_key = by_key
    if modes.get(mode).is_mailed:
        _save_and_mail(challenge, origin)
    elif channel == Channel.CLI and not modes.get(mode).is_typed:
        _save_and_lead_to_code(challenge, origin)
    else:
        challenge.save(force_insert=True)
    return challenge


def new_sign_in(user: User, mode: str, *, channel: Channel, origin: Origin) -> Challenge:
    """Return the unsaved challenge of a sign-in."""
    challenge = _new(user, Challenge.Purpose.SIGN_IN, mode=mode)
    challenge.channel = channel
    challenge.ip_address, challenge.agent = origin.ip_address, origin.agent[:255]
    challenge.known_place = known_browsers.place_of(user, origin, channel=channel, by_factor=True)
    return challenge


def _save_and_mail(challenge: Challenge, origin: Origin) -> None:
    with transaction.atomic(durable=True):
        challenge.mail_refusal = _take_mail(challenge, origin)
        if challenge.mail_refusal is None:
            challenge.mails, challenge.last_mail_at = 1, timezone.now()
        challenge.save(force_insert=True)
        if challenge.mails:
            _post_code(challenge)


def _save_and_lead_to_code(challenge: Challenge, origin: Origin) -> None:
    """Save a sign-in at the command line whose mode cannot be typed, and mail where to find a code, if a mail may go.

    The client shows a prompt and no words of ours, so the mail is the only place for them.
    """
    with transaction.atomic(durable=True):
        refusal = _take_mail(challenge, origin)
        challenge.save(force_insert=True)
        if refusal is None:
            _post(challenge, "mfa.command_line_code")


def find_sign_in(challenge_id: str | None, *, channel: Channel) -> Challenge | None:
    """Return the open sign-in challenge with this id, if it belongs to this channel."""
    return find(challenge_id, Challenge.Purpose.SIGN_IN, channel=channel)


def find(challenge_id: str | None, purpose: str, **filters: object) -> Challenge | None:
    """Return the open challenge with this id and purpose, with its user. One query."""
    if not challenge_id:
        return None
    challenges = Challenge.objects.select_related("user").filter(pk=challenge_id, purpose=purpose, **filters)
    challenge = next(iter(challenges), None)
    return challenge if challenge and challenge.is_open(timezone.now()) else None


def known_place_of(challenge: Challenge, origin: Origin) -> str:
    """Return the name of the browser or network of a challenge if a factor was proven there before, else blank."""
    if challenge.purpose == Challenge.Purpose.SIGN_IN:
        return challenge.known_place
    if challenge.asked_in is None:
        user = challenge.user
        challenge.asked_in = known_browsers.place_of(user, origin, channel=Channel.BROWSER, by_factor=True)
    return challenge.asked_in


def send_code(challenge: Challenge, origin: Origin) -> None:
    """Mail the code of a challenge. Every email of a challenge carries the same code.

    Raises ``MailTooSoon`` or ``TooManyMails``, with ``retry_at`` if known, or ``ChallengeOver``.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        challenge = lock(challenge)
        if not challenge.is_open(now) or not modes.get(challenge.mode).is_mailed:
            raise ChallengeOver
        _refuse_too_many_mails(challenge, now, origin)
        challenge.mails += 1
        challenge.last_mail_at = now
        challenge.save(update_fields=["mails", "last_mail_at"])
        _post_code(challenge)


def _post_code(challenge: Challenge) -> None:
    _post(challenge, "mfa.one_time_password")


def _post(challenge: Challenge, task: str) -> None:
    is_on_page = not challenge.is_at_command_line
    outbox.post(task, user=challenge.user, about=challenge.pk, queue=outbox.OTP_QUEUE, is_on_page=is_on_page)


def _refuse_too_many_mails(challenge: Challenge, now: datetime, origin: Origin) -> None:
    """Raise ``MailTooSoon`` or ``TooManyMails`` (SR-17). Asking for an email never resets the wrong codes."""
    if challenge.last_mail_at and now < resend_at(challenge):
        metrics.count_throttled(mail_limits.ONE_TIME_PASSWORDS.total.key)
        raise MailTooSoon(retry_at=resend_at(challenge))
    if challenge.mails >= MAILS.count:
        metrics.count_throttled(mail_limits.ONE_TIME_PASSWORDS.total.key)
        raise TooManyMails
    if refusal := _take_mail(challenge, origin):
        raise refusal


def _take_mail(challenge: Challenge, origin: Origin) -> Refused | None:
    """Count an email for the account, within the caller's transaction; return the refusal if it must not be sent."""
    is_known = bool(known_place_of(challenge, origin))
    limit = mail_limits.ONE_TIME_PASSWORDS
    refusal = mail_limits.take(limit, challenge.user_id, origin=origin, is_known_place=is_known)
    return TooManyMails(retry_at=refusal.retry_at) if refusal else None


def resend_at(challenge: Challenge) -> datetime:
    """Return the time from which the next email may be asked for."""
    return (challenge.last_mail_at or challenge.created_at - MAILS.interval) + MAILS.interval


def end_replaced(challenge_id: str, user: User) -> None:
    """End the pending sign-in of a browser in which ``user`` begins another one."""
    if challenge_id:
        rows = Challenge.objects.filter(pk=challenge_id, user=user, purpose=Challenge.Purpose.SIGN_IN, ended_at=None)
        rows.update(ended_at=timezone.now())


def switch(challenge: Challenge, mode: str) -> Challenge:
    """Use another enabled mode for this challenge only. Raises ``NotEnabled`` or ``ChallengeOver``."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        challenge = lock(challenge)
        if not challenge.is_open(now):
            raise ChallengeOver
        if mode not in modes.ALL or mode not in challenge.user.modes:
            raise NotEnabled
        challenge.mode = mode
        challenge.save(update_fields=["mode"])
    return challenge


@dataclass(frozen=True)
class Answer:
    """A correct code: the factor that it proved or replaced, what it was, and the sign-in that it finished."""

    challenge: Challenge
    factor: Factor
    proof: Proof  # by the factor's mode, a recovery code or an assisted reset
    sign_in: signin.Finished | None = None

    @property
    def is_by_factor(self) -> bool:
        """Whether the code was the factor's own."""
        return self.proof.mode in modes.ALL

    @property
    def finished(self) -> signin.Finished:
        """The sign-in that the code finished. Only of an answer to a sign-in."""
        return cast("signin.Finished", self.sign_in)


@dataclass(frozen=True)
class Read:
    """A factor, and what else of its account decides. Usually nothing of it costs a further statement."""

    factor: Factor
    reset_is_open: bool
    has_failures: bool
    has_browsers: bool


def answer(challenge: Challenge, otp: str, origin: Origin) -> Answer:
    """Spend ``otp`` on a challenge, and finish its sign-in, if it is one.

    ``otp``: six ASCII digits, a recovery code, or what a browser signed with a passkey.

    Raises a ``RefusedCode`` (counted), or ``TooManyFailures`` or ``ChallengeOver`` (``otp`` was not checked).
    """
    with counted():
        return _answer(lock(challenge), otp, origin)


def answer_sign_in(challenge_id: str, otp: str, origin: Origin, *, channel: Channel) -> Answer:
    """Spend ``otp`` on the sign-in with this id, if it belongs to this channel; see ``answer``."""
    with counted():
        return _answer(_lock(pk=challenge_id, purpose=Challenge.Purpose.SIGN_IN, channel=channel), otp, origin)


def _answer(challenge: Challenge, otp: str, origin: Origin) -> Answer:
    read = read_factor(challenge, _slot_of(challenge, otp, origin))
    check = partial(_spend, challenge, read.factor, otp, origin)
    proof = judge(challenge, otp, origin, check, has_failures=read.has_failures)
    return finish(challenge, read, proof, origin)


def finish(challenge: Challenge, read: Read, proof: Proof, origin: Origin) -> Answer:
    """Return the answer to a challenge whose proof was right, and finish its sign-in, if it is one.

    Call under the lock on the user's row.
    """
    if read.reset_is_open and proof.mode != assisted_reset.MODE:
        assisted_reset.cancel(challenge.user, origin)
    if challenge.user.mailbox_failed_at and proof.mode in modes.ALL and modes.get(proof.mode).is_mailed:
        delivery.clear_failure(challenge.user)  # the code arrived
    answered = Answer(challenge, read.factor, proof)
    if challenge.purpose != Challenge.Purpose.SIGN_IN:
        return answered
    finished = signin.finish(
        challenge.user,
        origin,
        channel=Channel(challenge.channel),
        proof=proof,
        by_factor=answered.is_by_factor,
        is_known=answered.is_by_factor and known_browsers.is_at(challenge.known_place, origin),
        is_first=not read.has_browsers,
    )
    return replace(answered, sign_in=finished)


def read_factor(challenge: Challenge, slot: Slot) -> Read:
    """Read the factor of a locked challenge, and in the same query what else decides."""
    rows = Factor.objects.filter(user=challenge.user, mode=challenge.mode).annotate(
        reset_is_open=assisted_reset.is_open_for(OuterRef("user")),
        has_failures=throttles.has_tries(slot),
        has_browsers=known_browsers.exist_for(OuterRef("user")),
    )
    row: Any = next(iter(rows), None)
    if row is None:
        raise ChallengeOver
    row.user = challenge.user
    return Read(row, row.reset_is_open, row.has_failures, row.has_browsers)


def judge(
    challenge: Challenge, otp: str, origin: Origin, check: Callable[[], Checked], *, has_failures: bool = True
) -> Checked:
    """Call ``check`` to check a code, and return its result. Call under the lock, within ``counted()``.

    ``has_failures``: wrong codes may be counted where this one is. A correct code ends the challenge. Raises the
    ``RefusedCode`` of ``check`` after counting it, or ``ChallengeOver`` or ``TooManyFailures`` without calling
    ``check``.
    """
    now = timezone.now()
    if not challenge.is_open(now):
        raise ChallengeOver
    slot = _slot_of(challenge, otp, origin)
    if has_failures and (blocked := code_failures.refusal_of(slot)):
        _count_throttled(challenge, slot)
        raise TooManyFailures(retry_at=blocked.retry_at, way_out=remaining_tries.way_out(challenge, slot))
    try:
        proof = check()
    except RefusedCode as error:
        refusal = EarlierCode(tag=tag_of(challenge.pk)) if _is_of_earlier_mail(challenge, otp, error) else error
        _count_failure(
            challenge, slot, now, origin, mode=recovery.MODE if len(otp) == recovery.LENGTH else challenge.mode
        )
        _add_tries_left(refusal, challenge, slot)
        raise refusal from None
    challenge.ended_at = now
    Challenge.objects.filter(pk=challenge.pk).update(ended_at=now)
    if has_failures or len(otp) == recovery.LENGTH:
        code_failures.forgive(challenge.user, known_place_of(challenge, origin))
    return proof


def why_none_is_checked(challenge: Challenge, origin: Origin) -> str:
    """Return why no one-time password is checked at this challenge now, before one is typed; blank if one is.

    A query only if the tries of some place were used up within a day.
    """
    if not code_failures.may_be_refused(challenge.user):
        return ""
    slot = code_failures.slot_of(challenge.user, known_place_of(challenge, origin))
    until = code_failures.refused_until(slot)
    words = [TooManyFailures.message, wait_in_words(until), remaining_tries.way_out(challenge, slot)] if until else []
    return " ".join(map(str, words)).strip()


def _count_throttled(challenge: Challenge, slot: Slot) -> None:
    metrics.count_throttled(slot.step)
    if challenge.purpose == Challenge.Purpose.SIGN_IN:
        metrics.count_sign_in(metrics.SignIn.THROTTLED, mode=challenge.mode)


def _slot_of(challenge: Challenge, otp: str, origin: Origin) -> Slot:
    """Return the throttle slot that a wrong code counts in: recovery codes and one-time passwords have one each."""
    place = known_place_of(challenge, origin)
    if len(otp) == recovery.LENGTH:
        return code_failures.recovery_slot_of(challenge.user, place, origin)
    return code_failures.slot_of(challenge.user, place)


def lock(challenge: Challenge) -> Challenge:
    """Lock and reread the user, then the challenge: the caller read them before the lock."""
    return _lock(pk=challenge.pk)


def _lock(**filters: object) -> Challenge:
    """Lock and read a challenge with its user. Raise ``ChallengeOver`` if there is none."""
    # PostgreSQL locks in the order of the list. Everything else that changes challenges holds the user's lock too.
    rows = Challenge.objects.select_for_update(of=("user", "self"), no_key=True).select_related("user")
    challenge = next(iter(rows.filter(**filters)), None)
    if challenge is None:
        raise ChallengeOver
    return challenge


def _spend(challenge: Challenge, factor: Factor, otp: str, origin: Origin) -> Proof:
    """Spend what proves the mode in use, a recovery code or the code of an assisted reset. Raises a refusal."""
    if challenge.is_at_command_line and (shown_by := shown_codes.spend(challenge, otp)):
        return Proof(shown_by)
    if len(otp) != recovery.LENGTH:
        return Proof(str(factor.mode), _spend_factor(challenge, factor, otp, origin))
    if recovery.spend(challenge.user, otp, origin):
        return Proof(recovery.MODE)
    # Only in a browser: its session is limited to enrolling a new factor, and a command-line token cannot be.
    in_browser = challenge.channel == Channel.BROWSER
    if in_browser and assisted_reset.spend(challenge.user, otp, origin):
        return Proof(assisted_reset.MODE)
    raise WrongCode


def _spend_factor(challenge: Challenge, factor: Factor, proof: str, origin: Origin) -> str:
    now = timezone.now()
    factor_name = modes.get(factor.mode).spend(factor, challenge, proof, origin=origin, now=now)
    factor.last_used_at = now
    factor.save(update_fields=["last_step", "drift", "last_used_at"])
    return factor_name


def _is_of_earlier_mail(challenge: Challenge, otp: str, refusal: RefusedCode) -> bool:
    """Return whether a wrong code was mailed for another challenge of its user, which is over.

    Only for the message. Never of an open one: one guess would be worth as many as there are open challenges.
    """
    if not modes.get(challenge.mode).is_mailed or not isinstance(refusal, WrongCode) or len(otp) != codes.DIGITS:
        return False
    is_over = Q(ended_at__isnull=False) | Q(expires_at__lte=timezone.now())
    mailed = Challenge.objects.filter(is_over, user=challenge.user, mails__gt=0).order_by("-created_at")
    # Compare all, so that the time taken does not tell which one matched.
    matches = [codes.same(codes.mailed_code(earlier.secret), otp) for earlier in mailed[:EARLIER_MAILS]]
    return any(matches)


def _count_failure(challenge: Challenge, slot: Slot, now: datetime, origin: Origin, *, mode: str) -> None:
    """Count a wrong code of ``mode`` for the challenge and the account. The last one ends the challenge (SR-15)."""
    user = challenge.user
    is_last_of_account = code_failures.count(slot)
    challenge.failures += 1
    if challenge.failures >= WRONG_CODES.count:
        challenge.ended_at = now
        unfinished_sign_ins.report_if_suspicious(challenge)
    challenge.save(update_fields=["failures", "ended_at"])
    security_log.record(user, Kind.CODE_REFUSED, origin, mode=mode)
    if is_last_of_account:
        code_failures.note_refusal(user)
        security_log.record(user, Kind.CODES_REFUSED, origin)
    if challenge.purpose == Challenge.Purpose.SIGN_IN:
        metrics.count_sign_in(metrics.SignIn.WRONG_CODE, mode=challenge.mode)
    log.info("mfa.code_refused", user_id=str(user.pk), purpose=challenge.purpose, mode=challenge.mode)


def _add_tries_left(refusal: RefusedCode, challenge: Challenge, slot: Slot) -> None:
    """Add to a refusal how many tries are left. The command line has only one try, so nothing is added."""
    if not challenge.is_at_command_line:
        refusal.is_last = challenge.ended_at is not None
        refusal.left = remaining_tries.left_in_words(challenge, slot)


def code_is_wanted(challenge: Challenge) -> bool:
    """Return whether an email with the code is still of use (SR-50)."""
    return challenge.is_open(timezone.now()) and challenge.mails > 0


def forget_expired() -> int:
    """Delete expired challenges, including abandoned enrolments (SR-21). Return the number deleted."""
    return delete_in_batches(Challenge.objects.filter(expires_at__lt=timezone.now() - RETENTION))

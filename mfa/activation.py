"""Enabling a mode. An enrolment is a challenge whose correct code creates the factor."""

from functools import partial

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import signin
from accounts.models import User
from accounts.refusals import Refused, counted
from accounts.security_log import Origin
from mfa import challenges, factors, modes
from mfa.models import Challenge, Factor


class MailboxUnproven(Refused):
    """The first factor requires that this browser has proven the mailbox (SR-23)."""

    message = _("Confirm that this mailbox is yours: enter the code that we sent to it.")


class AlreadyEnabled(Refused):
    """Email is enabled already, and there is nothing to replace: the address is the account's."""

    message = _("This mode is already enabled for your account.")


class ProofMissing(Refused):
    """The account has MFA on, and no factor was proven for this enrolment (SR-22)."""

    message = _("Your account already has multi-factor authentication. Confirm with your current mode first.")


def begin(
    user: User, mode: str, *, proven: bool, mailbox_proven: bool, origin: Origin = challenges.UNKNOWN_ORIGIN
) -> Challenge:
    """Create the enrolment of a new or replaced mode. ``complete`` enables it.

    ``proven``: an existing factor was proven recently, which an account with MFA on requires. The first factor requires
    the password and the mailbox (SR-23). ``mailbox_proven``: this browser has proven the mailbox. Email requires no
    such proof, because its first code is one. Raises ``ProofMissing``, ``MailboxUnproven`` or ``AlreadyEnabled``.
    """
    # Under the lock, an enrolment without a factor either sees the first factor or is ended by it.
    with transaction.atomic():
        user = signin.lock_checked(user)
        if user.mfa_is_on and not proven:
            raise ProofMissing
        is_mailed = modes.get(mode).is_mailed
        if not is_mailed and not user.mfa_is_on and not mailbox_proven:
            raise MailboxUnproven
        if is_mailed and Factor.objects.filter(user=user, mode=mode).exists():
            raise AlreadyEnabled
        lifetime = modes.get(mode).enrolment_lifetime()
        return challenges.begin(user, Challenge.Purpose.ENROLMENT, mode=mode, origin=origin, lifetime=lifetime)


def find(enrolment_id: str | None) -> Challenge | None:
    """Return the open enrolment with this id."""
    return challenges.find(enrolment_id, Challenge.Purpose.ENROLMENT)


def complete(
    enrolment: Challenge, otp: str, *, set_as_preferred: bool, origin: Origin, session_key: str | None = None
) -> Factor:
    """Enable the mode of an enrolment and return its factor. Spends ``otp``: six ASCII digits, or a new passkey.

    A spent code cannot be used to sign in afterwards (RFC 6238 section 5.2, SR-11). Ends the user's other sessions,
    sign-ins and enrolments, so that none that began with the password alone outlives the first factor. Raises a
    ``RefusedCode`` (counted), or ``TooManyFailures`` or ``ChallengeOver`` (``otp`` was not checked).
    """
    with counted():
        enrolment = challenges.lock(enrolment)
        user = enrolment.user
        if not user.is_active:
            raise challenges.ChallengeOver
        mode, now = modes.get(enrolment.mode), timezone.now()
        enrolled = challenges.judge(enrolment, otp, origin, partial(mode.enrol, enrolment, otp, now=now))
        if mode.is_mailed and user.email_verified_at is None:
            user.email_verified_at = now
            user.save(update_fields=["email_verified_at"])
        factors.end_everything_else(user, session_key=session_key)
        factor = factors.add(user, mode.name, enrolled, prefer=set_as_preferred, origin=origin)
        factor.user = user
    return factor

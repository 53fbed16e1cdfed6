"""One-time passwords of an authenticator app (RFC 6238)."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.security_log import Origin
from mfa import codes, qr
from mfa.code_refusals import ClockAhead, ClockOff, CodeOvertaken, CodeTooOld, CodeUsed, RefusedCode, WrongCode
from mfa.modes.base import Enrolled, Mode

if TYPE_CHECKING:
    from mfa.models import Challenge, Factor


class Authenticator(Mode):
    """An app on the user's phone shows a code that changes every 30 seconds."""

    name = "authenticator"
    label = _("authenticator")
    hint = _("a code that an app on your phone shows")
    icon = "phone"
    way_in_words = _("a code of your authenticator app")
    loss_in_words = _("your phone")
    absence_in_words = _("Phone lost or not at hand?")

    def where_to_look(self, challenge: "Challenge") -> str:
        """Return that the app shows the code."""
        del challenge
        return gettext("Enter the code that your authenticator app shows now.")

    def activation_context(self, enrolment: "Challenge") -> dict[str, object]:
        """Return the QR code, and the secret in groups of four for those who type it."""
        issuer, secret = settings.OTP_TOTP_ISSUER, codes.base32(enrolment.secret)
        uri = codes.provisioning_uri(enrolment.secret, account=enrolment.user.email, issuer=issuer)
        return {
            "qr_svg": qr.svg(uri),
            "secret_plain": secret,
            "secret_groups": [secret[start : start + 4] for start in range(0, len(secret), 4)],
            "otpauth_uri": uri,
        }

    def enrol(self, enrolment: "Challenge", proof: str, *, now: datetime) -> Enrolled:
        """Check the app's first code; its time step is the first that cannot be used again (SR-11)."""
        step = codes.matching_step(enrolment.secret, proof, now=now, after=0)
        if step is None:
            near = codes.recognised_step(enrolment.secret, proof, now=now)
            raise WrongCode if near is None else _clock_off(near, now)
        return Enrolled(secret=enrolment.secret, last_step=step)

    def spend(self, factor: "Factor", challenge: "Challenge", proof: str, *, origin: Origin, now: datetime) -> str:
        """Check the app's code and remember its time step, so that no step up to it works again (SR-11)."""
        del challenge, origin
        step = codes.matching_step(factor.secret, proof, now=now, after=factor.last_step, drift=factor.drift)
        if step is None or step in factor.refused_steps:
            raise _why_refused(factor, proof, now)
        factor.last_step, factor.drift = step, codes.drift_of(step, now)
        return ""


def _why_refused(factor: "Factor", otp: str, now: datetime) -> RefusedCode:
    step = codes.recognised_step(factor.secret, otp, now=now)
    if step is None:
        return WrongCode()
    if step < factor.last_step:
        return CodeOvertaken()
    if step == factor.last_step or step in factor.refused_steps:
        return CodeUsed()
    if step > codes.step_at(now):
        # The message tells an attacker that this code will be right, so it must not be. Past steps need no memory.
        oldest = codes.step_at(now) - codes.MAX_STEPS_RECOGNISED
        factor.refused_steps = [*(old for old in factor.refused_steps if old >= oldest), step]
        factor.save(update_fields=["refused_steps"])
    return _clock_off(step, now)


def _clock_off(step: int, now: datetime) -> ClockOff:
    """Return by how much the clock of the phone is off that shows the code of ``step`` now."""
    ahead = step - codes.step_at(now)
    return ClockAhead(minutes=_minutes(ahead)) if ahead > 0 else CodeTooOld(minutes=_minutes(-ahead))


def _minutes(steps: int) -> int:
    return max(1, round(steps * codes.STEP_SECONDS / 60))

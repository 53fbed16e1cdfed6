"""What a browser's session remembers of codes: the pending sign-in, the enrolment, the last proof."""

from django.contrib import auth, messages
from django.http import HttpRequest
from django.utils import timezone
from django_otp import login as otp_login

from accounts import signin
from accounts.models import Channel, Mode, User
from accounts.refusals import Refused
from mfa import challenges, stepup
from mfa.models import Challenge, Factor

SIGN_IN = "sign_in"  # {"challenge": id, "next": path, "activate": mode}
ENROLMENT = "enrolment"
STEP_UP = "step_up"
PROVEN_AT = "proven_at"


def begin_sign_in(request: HttpRequest, user: User, *, next_path: str = "", activate: str = "") -> None:
    """Ask for the code of a user whose password was right; whoever was signed in before is not any more.

    ``activate`` names a mode whose enrolment begins as soon as the code was right.
    """
    auth.logout(request)
    attempt = signin.begin(user, channel=Channel.BROWSER)
    challenge = challenges.begin(user, Challenge.Purpose.SIGN_IN, mode=user.preferred_mode, attempt=attempt)
    mail_if_due(request, challenge)
    request.session[SIGN_IN] = {"challenge": str(challenge.pk), "next": next_path, "activate": activate}


def mail_if_due(request: HttpRequest, challenge: Challenge) -> None:
    """Mail the first code of a challenge by e-mail; a refusal is shown on the next page."""
    if challenge.mode == Mode.EMAIL and not challenge.mails:
        try:
            challenges.send_code(challenge)
        except Refused as refused:
            messages.warning(request, refused.text)


def pending_sign_in(request: HttpRequest) -> Challenge | None:
    """Find the challenge of this browser's sign-in under way."""
    remembered = request.session.get(SIGN_IN, {})
    challenge = challenges.find(
        remembered.get("challenge"), Challenge.Purpose.SIGN_IN, attempt__channel=Channel.BROWSER
    )
    is_open = challenge and challenge.attempt and challenge.attempt.is_open(timezone.now())
    return challenge if is_open else None


def sign_in(request: HttpRequest, factor: Factor) -> dict[str, str]:
    """Make this the session of the user who gave the code, and give what its sign-in remembered."""
    remembered = request.session.pop(SIGN_IN, {})
    auth.login(request, factor.user, backend="django.contrib.auth.backends.ModelBackend")
    remember_proof(request, factor)
    return dict(remembered)


def remember_proof(request: HttpRequest, factor: Factor) -> None:
    """Note that this session's user has just proven a factor; the session gets a new key (SR-8)."""
    otp_login(request, factor)
    request.session.cycle_key()
    request.session[PROVEN_AT] = timezone.now().timestamp()


def forget_proof(request: HttpRequest) -> None:
    """Note that this session's factor is gone."""
    request.session.pop(PROVEN_AT, None)


def has_fresh_proof(request: HttpRequest) -> bool:
    """Whether a factor that still exists was proven in this session moments ago."""
    device = getattr(request.user, "otp_device", None)  # also right after signing in, unlike is_verified()
    return device is not None and stepup.is_fresh(request.session.get(PROVEN_AT), timezone.now())

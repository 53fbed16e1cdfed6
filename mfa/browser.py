"""What a browser's session remembers of codes: the pending sign-in, the enrolment, the last proof."""

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone
from django_otp import login as otp_login

from accounts.models import Channel, Mode, User
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import forget_person, note_mode, start_session
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
    forget_person(request)
    challenge = challenges.begin_sign_in(user, channel=Channel.BROWSER, origin=origin_of(request))
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
    return challenges.find_sign_in(request.session.get(SIGN_IN, {}).get("challenge"), channel=Channel.BROWSER)


def sign_in(request: HttpRequest, factor: Factor) -> dict[str, str]:
    """Make this the session of the user who gave the code, and give what its sign-in remembered."""
    remembered = request.session.pop(SIGN_IN, {})
    start_session(request, factor.user, mode=factor.proved_as)
    remember_proof(request, factor)
    return dict(remembered)


def remember_proof(request: HttpRequest, factor: Factor) -> None:
    """Note that this session's user has just proven a factor; the session gets a new key (SR-8)."""
    otp_login(request, factor)
    note_mode(request, factor.proved_as or factor.mode)
    request.session.cycle_key()
    request.session[PROVEN_AT] = timezone.now().timestamp()


def forget_proof(request: HttpRequest) -> None:
    """Note that this session's factor is gone."""
    request.session.pop(PROVEN_AT, None)
    note_mode(request, "")


def remember_password(request: HttpRequest) -> None:
    """Note that this session's user, whose MFA is off, has just proven the password."""
    request.session[PROVEN_AT] = timezone.now().timestamp()


def has_fresh_proof(request: HttpRequest) -> bool:
    """Whether the best that this session's user has, a factor or else the password, was proven moments ago."""
    if request.user.is_authenticated and not request.user.mfa_is_on:
        return stepup.is_fresh(request.session.get(PROVEN_AT), timezone.now())
    return has_proven_factor(request)


def has_proven_factor(request: HttpRequest) -> bool:
    """Whether a factor that still exists was proven in this session moments ago; a password never is (SR-22)."""
    device = getattr(request.user, "otp_device", None)  # also right after signing in, unlike is_verified()
    return device is not None and stepup.is_fresh(request.session.get(PROVEN_AT), timezone.now())

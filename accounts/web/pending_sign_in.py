"""The pending sign-in in a browser's session, and its completion."""

from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest

from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.web import proofs
from accounts.web.authentication import note_factor
from accounts.web.cookies import set_cookie
from accounts.web.origin import origin_of, tokens_in_cookie
from accounts.web.session import empty_session, keep_session_until, start_session
from mfa import challenges, factors, modes, remembered_browsers
from mfa.models import Challenge, Factor

PENDING = "sign_in"
REMEMBERED = settings.REMEMBERED_COOKIE_NAME


@dataclass(frozen=True)
class PendingSignIn:
    """A sign-in whose password was right. ``activate`` is a mode whose enrolment begins after the code."""

    challenge: str = ""
    next: str = ""
    activate: str = ""
    may_remember: bool = False  # the prompt offers to remember this browser


def read(request: HttpRequest) -> PendingSignIn:
    """Return the pending sign-in of this browser's session, or an empty one."""
    return PendingSignIn(**request.session.get(PENDING, {}))


def begin(request: HttpRequest, user: User, *, may_remember: bool, next_path: str = "", activate: str = "") -> None:
    """Begin the code step for a user whose password was right. End the session of any user of this browser."""
    empty_session(request)
    challenge = challenges.begin_sign_in(user, channel=Channel.BROWSER, origin=origin_of(request))
    mail_if_due(request, challenge)
    may_remember = may_remember and timedelta(0) < settings.REMEMBERED_BROWSER_LIFETIME
    pending = PendingSignIn(str(challenge.pk), next_path, activate, may_remember)
    request.session[PENDING] = asdict(pending)
    keep_session_until(request, challenge.expires_at)


def mail_if_due(request: HttpRequest, challenge: Challenge) -> None:
    """Mail the first code of a challenge if its mode is mailed. Show a refusal on the next page."""
    if modes.get(challenge.mode).is_mailed and not challenge.mails:
        try:
            challenges.send_code(challenge, origin_of(request))
        except Refused as refused:
            messages.warning(request, refused.text)


def find(request: HttpRequest) -> Challenge | None:
    """Return the open challenge of this browser's pending sign-in."""
    return challenges.find_sign_in(read(request).challenge, channel=Channel.BROWSER)


def forget(request: HttpRequest) -> None:
    """Forget the pending sign-in."""
    request.session.pop(PENDING, None)


def complete(request: HttpRequest, factor: Factor, *, remember: bool) -> PendingSignIn:
    """Start the session of the user who gave the code, and return the pending sign-in.

    ``remember``: remember this browser; ignored after a recovery code or an assisted reset.
    """
    pending = read(request)
    forget(request)
    by_mode = factor.proved_as in modes.ALL
    start_session(request, factor.user, mode=factor.proved_as, by_factor=by_mode)
    proofs.note_proof(request, factor)  # starting the session gave it a new key
    if remember and by_mode:
        tokens = remembered_browsers.note(factor.user, tokens_in_cookie(request, REMEMBERED), origin_of(request))
        set_cookie(request, REMEMBERED, ".".join(tokens))
    return pending


def sign_in_remembered(request: HttpRequest, user: User) -> bool:
    """Sign in a user whose password was right, if this browser is remembered. Return whether it was.

    The session proves no factor, so sensitive changes ask for one. Check the policies first.
    """
    tokens = tokens_in_cookie(request, REMEMBERED)
    signed_in = remembered_browsers.sign_in(user, tokens, origin_of(request)) if tokens else None
    if signed_in is None:
        return False
    empty_session(request)
    start_session(request, signed_in, mode=remembered_browsers.MODE, by_factor=False)
    preferred = signed_in.preferred_mode
    note_factor(request, next(factor for factor in factors.enabled(signed_in) if factor.mode == preferred))
    return True

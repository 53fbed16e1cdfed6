"""The pending sign-in of a browser, in a signed cookie, and its completion."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest

from accounts import known_browsers
from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.web import proofs
from accounts.web.authentication import note_factor
from accounts.web.cookies import cookie_of, set_cookie
from accounts.web.origin import origin_of, tokens_in_cookie
from accounts.web.session import empty_session, start_session
from mfa import challenges, factors, modes, remembered_browsers
from mfa.models import Challenge

COOKIE = settings.SIGN_IN_COOKIE_NAME
REMEMBERED = settings.REMEMBERED_COOKIE_NAME
MAX_NEXT_PATH = 2000  # a browser keeps no cookie above 4096 bytes


@dataclass(frozen=True)
class PendingSignIn:
    """A sign-in whose password was right. ``activate`` is a mode whose enrolment begins after the code."""

    challenge: str = ""
    next: str = ""
    activate: str = ""
    may_remember: bool = False  # the prompt offers to remember this browser


def read(request: HttpRequest) -> PendingSignIn:
    """Return the pending sign-in of this browser, or an empty one."""
    value = cookie_of(request, COOKIE, lifetime=settings.CHALLENGE_LIFETIME)
    return PendingSignIn(**json.loads(urlsafe_b64decode(value))) if value else PendingSignIn()


def _write(request: HttpRequest, pending: PendingSignIn) -> None:
    value = urlsafe_b64encode(json.dumps(asdict(pending)).encode()).decode()
    set_cookie(request, COOKIE, value, lifetime=settings.CHALLENGE_LIFETIME)


def begin(request: HttpRequest, user: User, *, may_remember: bool, next_path: str = "", activate: str = "") -> None:
    """Begin the code step for a user whose password was right. End the session of any user of this browser.

    A signed cookie holds the pending sign-in: a session would be written for each password and deleted by each code.
    """
    empty_session(request)
    challenges.end_replaced(read(request).challenge, user)
    origin = origin_of(request)
    challenge = challenges.begin_sign_in(user, channel=Channel.BROWSER, origin=origin)
    known_browsers.note_use(user, origin)
    if challenge.mail_refusal:
        messages.warning(request, challenge.mail_refusal.text)
    may_remember = may_remember and timedelta(0) < settings.REMEMBERED_BROWSER_LIFETIME
    next_path = next_path if len(next_path) <= MAX_NEXT_PATH else ""
    _write(request, PendingSignIn(str(challenge.pk), next_path, activate, may_remember))


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
    set_cookie(request, COOKIE, "")


def complete(request: HttpRequest, answer: challenges.Answer, *, remember: bool) -> None:
    """Start the session of the user who gave the code, and forget the pending sign-in.

    ``remember``: remember this browser; ignored after a recovery code or an assisted reset.
    """
    finished = answer.finished
    start(request, answer)
    if remember and answer.is_by_factor:
        tokens = remembered_browsers.note(finished.user, tokens_in_cookie(request, REMEMBERED), origin_of(request))
        set_cookie(request, REMEMBERED, ".".join(tokens))


def start(request: HttpRequest, answer: challenges.Answer) -> None:
    """Start the session of a finished sign-in, and forget the pending one."""
    forget(request)
    start_session(request, answer.finished)
    # Starting the session gave it a new key.
    proofs.note_proof(request, answer.factor, answer.proof)


def sign_in_remembered(request: HttpRequest, user: User) -> bool:
    """Sign in a user whose password was right, if this browser is remembered. Return whether it was.

    The session proves no factor, so sensitive changes ask for one. Check the policies first.
    """
    tokens = tokens_in_cookie(request, REMEMBERED)
    finished = remembered_browsers.sign_in(user, tokens, origin_of(request)) if tokens else None
    if finished is None:
        return False
    empty_session(request)
    start_session(request, finished)
    preferred = finished.user.preferred_mode
    note_factor(request, next(factor for factor in factors.enabled(finished.user) if factor.mode == preferred))
    return True

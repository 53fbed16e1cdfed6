"""What a browser's session remembers of codes: the pending sign-in, the enrolment, the last proof."""

from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django_otp import login as otp_login

from accounts import known_browsers, signin
from accounts.models import Channel, MailboxProof, Mode, User
from accounts.origin import origin_of, tokens_in_cookie
from accounts.refusals import Refused
from accounts.requests import (
    forget_person,
    keep_session_until,
    know_browser,
    note_mode,
    set_cookie,
    start_session,
)
from accounts.session_store import SIGNED_IN
from mfa import challenges, modes, remembered, stepup
from mfa.models import Challenge, Factor

SIGN_IN = "sign_in"  # {"challenge": id, "next": path, "activate": mode, "may_remember": bool}
ENROLMENT = "enrolment"
FIRST_FACTOR = "first_factor"  # {"mode": mode, "mark": of the password}: an enrolment that waits for the mailbox
STEP_UP = "step_up"
PROVEN_AT = "proven_at"
REMEMBERED = settings.REMEMBERED_COOKIE_NAME
KEPT = "kept_form"  # {"path": path, "data": fields}: what was typed before a proof was asked for
SECRETS = frozenset({"csrfmiddlewaretoken", "otp", "code"})
KEPT_AT_MOST = 8 * 1024


def begin_sign_in(
    request: HttpRequest, user: User, *, may_remember: bool, next_path: str = "", activate: str = ""
) -> None:
    """Ask for the code of a user whose password was right; whoever was signed in before is not any more.

    ``may_remember``: the prompt may offer to spare this browser the next codes. ``activate`` names a mode whose
    enrolment begins as soon as the code was right.
    """
    forget_person(request)
    challenge = challenges.begin_sign_in(user, channel=Channel.BROWSER, origin=origin_of(request))
    mail_if_due(request, challenge)
    request.session[SIGN_IN] = {
        "challenge": str(challenge.pk),
        "next": next_path,
        "activate": activate,
        "may_remember": may_remember and timedelta(0) < settings.REMEMBER_BROWSER_FOR,
    }
    keep_session_until(request, challenge.expires_at)


def may_remember(request: HttpRequest) -> bool:
    """Whether the prompt of this sign-in offers to remember the browser."""
    return bool(request.session.get(SIGN_IN, {}).get("may_remember"))


def mail_if_due(request: HttpRequest, challenge: Challenge) -> None:
    """Mail the first code of a challenge by e-mail; a refusal is shown on the next page."""
    if challenge.mode == Mode.EMAIL and not challenge.mails:
        try:
            challenges.send_code(challenge, origin_of(request))
        except Refused as refused:
            messages.warning(request, refused.text)


def pending_sign_in(request: HttpRequest) -> Challenge | None:
    """Find the challenge of this browser's sign-in under way."""
    return challenges.find_sign_in(request.session.get(SIGN_IN, {}).get("challenge"), channel=Channel.BROWSER)


def sign_in(request: HttpRequest, factor: Factor, *, remember: bool) -> dict[str, str]:
    """Make this the session of the user who gave the code, and give what its sign-in remembered.

    ``remember``: spare this browser the next codes; only after a code of a mode, not after a makeshift.
    """
    remembers = request.session.pop(SIGN_IN, {})
    start_session(request, factor.user, mode=factor.proved_as, by_factor=factor.proved_as in Mode.values)
    _note_proof(request, factor)  # starting the session gave it a new key
    if remember and factor.proved_as in Mode.values:
        tokens = remembered.note(factor.user, tokens_in_cookie(request, REMEMBERED), origin_of(request))
        set_cookie(request, REMEMBERED, ".".join(tokens))
    return dict(remembers)


def sign_in_remembered(request: HttpRequest, user: User) -> bool:
    """Sign a user in whose password was right, if this browser is spared the code. Gives whether it was.

    The session proves no factor: what is sensitive asks for one. Ask the policies first.
    """
    tokens = tokens_in_cookie(request, REMEMBERED)
    signed_in = remembered.sign_in(user, tokens, origin_of(request)) if tokens else None
    if signed_in is None:
        return False
    forget_person(request)
    start_session(request, signed_in, mode=remembered.MODE, by_factor=False)
    preferred = signed_in.preferred_mode
    otp_login(request, next(factor for factor in modes.enabled(signed_in) if factor.mode == preferred))
    return True


def has_proven_mailbox(request: HttpRequest, user: User) -> bool:
    """Return whether this browser has proven the user's mailbox or a factor before (SR-23). One query at most."""
    return known_browsers.has_proven_mailbox(user, origin_of(request))


def remember_mailbox(request: HttpRequest, user: User) -> None:
    """Note that this browser has just proven the user's mailbox."""
    know_browser(request, known_browsers.note_mailbox(user, origin_of(request)))


def wait_for_mailbox(request: HttpRequest, user: User, mode: str, proof: MailboxProof) -> None:
    """Remember which mode a user, whose password was right, enables once the mailbox is proven."""
    request.session[FIRST_FACTOR] = {"mode": mode, "mark": signin.mark_of(user), "proof": str(proof.pk)}
    keep_session_until(request, proof.expires_at)


def mode_of_session(request: HttpRequest) -> str:
    """Say what has proved this session besides the password; blank if nothing has."""
    return str(request.session.get(SIGNED_IN, {}).get("mode", ""))


def remember_proof(request: HttpRequest, factor: Factor) -> None:
    """Note that this session's user has just proven a factor; the session gets a new key (SR-8)."""
    _note_proof(request, factor)
    request.session.cycle_key()


def _note_proof(request: HttpRequest, factor: Factor) -> None:
    otp_login(request, factor)
    note_mode(request, factor.proved_as or factor.mode)
    request.session[PROVEN_AT] = timezone.now().timestamp()


def forget_proof(request: HttpRequest) -> None:
    """Note that the last factor of this session's user is gone."""
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
    if mode_of_session(request) == remembered.MODE:
        return False
    device = getattr(request.user, "otp_device", None)  # also right after signing in, unlike is_verified()
    return device is not None and stepup.is_fresh(request.session.get(PROVEN_AT), timezone.now())


def ask_for_proof(request: HttpRequest, *, back: str = "") -> HttpResponse:
    """Lead to where a fresh proof is given, and from there to ``back`` or here; what was typed into a form is kept."""
    if request.method == "POST":
        keep_form(request)
    return redirect(f"{reverse('mfa:step_up')}?{urlencode({'next': back or request.get_full_path()})}")


def typed(request: HttpRequest) -> dict[str, str]:
    """Give what was typed into a form; never a password or a code."""
    data = request.POST.items()
    return {name: str(text) for name, text in data if name not in SECRETS and "password" not in name}


def keep_form(request: HttpRequest) -> None:
    """Keep what was typed into a form whose proof has grown stale."""
    data = typed(request)
    if data and sum(len(text) for text in data.values()) <= KEPT_AT_MOST:
        request.session[KEPT] = {"path": request.path, "data": data}


def kept_form(request: HttpRequest, path: str = "") -> dict[str, str]:
    """Give, once, what was typed into this page's form, which is sent to ``path`` or here, before the proof."""
    kept = request.session.get(KEPT)
    if not kept or kept["path"] != (path or request.path) or request.method == "POST":
        return {}
    del request.session[KEPT]
    return dict(kept["data"])

"""Which factor a browser's session has proven, and when."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from accounts.session_store import PROVED, SIGNED_IN
from accounts.signin import Proof
from accounts.web.authentication import note_factor
from accounts.web.kept_forms import keep_form
from accounts.web.session import note_mode
from mfa import remembered_browsers, step_up
from mfa.models import Factor

PROVEN_AT = "proven_at"  # Unix time of the last proof


def mode_of_session(request: HttpRequest) -> str:
    """Return what proved this session besides the password; blank if nothing did."""
    return str(request.session.get(SIGNED_IN, {}).get("mode", ""))


def proved_modes(request: HttpRequest) -> frozenset[str]:
    """Return the modes that this session has proved, one time or another, and that its user still has (SR-60).

    A recovery code, an assisted reset and a remembered browser prove no mode.
    """
    user = request.user
    return user.modes & frozenset(_noted_modes(request)) if user.is_authenticated else frozenset()


def _noted_modes(request: HttpRequest) -> list[str]:
    return list(request.session.get(PROVED, [mode_of_session(request)]))


def remember_proof(request: HttpRequest, factor: Factor, proof: Proof | None = None) -> None:
    """Record that this session's user has just proven a factor, and rotate the session key (SR-8).

    ``proof``: by what, such as a recovery code; None: by the factor's own code.
    """
    note_proof(request, factor, proof)
    request.session.cycle_key()


def note_proof(request: HttpRequest, factor: Factor, proof: Proof | None = None) -> None:
    """Record a factor that was just proven, in a session whose key is new."""
    note_factor(request, factor)
    proof = proof or Proof(factor.mode)
    if proof.mode == factor.mode:
        # Added to the others: a step-up by mail does not weaken a session that an authenticator has proved.
        request.session[PROVED] = sorted({*_noted_modes(request), factor.mode})
    note_mode(request, proof)
    request.session[PROVEN_AT] = timezone.now().timestamp()


def forget_mode(request: HttpRequest, mode: str, remaining: Factor) -> None:
    """Record that a mode was disabled. A remaining factor keeps the session verified, proved here or not (SR-60)."""
    request.session[PROVED] = [noted for noted in _noted_modes(request) if noted != mode]
    note_factor(request, remaining)
    request.session.cycle_key()


def forget_proof(request: HttpRequest) -> None:
    """Record that this session's user has no factor any more."""
    request.session.pop(PROVEN_AT, None)
    request.session[PROVED] = []
    note_mode(request, Proof())


def remember_password(request: HttpRequest, *, at: datetime | None = None) -> None:
    """Record that this session's user, whose MFA is off, has proven the password, now or ``at`` a moment before."""
    request.session[PROVEN_AT] = (at or timezone.now()).timestamp()


def has_recent_proof(request: HttpRequest) -> bool:
    """Return whether a factor, or the password if MFA is off, was proven within ``STEP_UP_LIFETIME`` (SR-22)."""
    if request.user.is_authenticated and not request.user.mfa_is_on:
        return step_up.is_recent(request.session.get(PROVEN_AT), timezone.now())
    return has_proven_factor(request)


def has_proven_factor(request: HttpRequest) -> bool:
    """Return whether an existing factor was proven in this session within ``STEP_UP_LIFETIME`` (SR-22)."""
    if mode_of_session(request) == remembered_browsers.MODE:
        return False
    device = getattr(request.user, "otp_device", None)  # unlike is_verified(), also set in the request that signs in
    return device is not None and step_up.is_recent(request.session.get(PROVEN_AT), timezone.now())


def ask_for_proof(request: HttpRequest, *, back: str = "", accepted: str = "") -> HttpResponse:
    """Redirect to the step-up, and from there to ``back`` or this page. Keep what was typed into its form.

    ``accepted`` is the weakest mode that the step-up takes, blank for any (SR-60).
    """
    if request.method == "POST":
        keep_form(request)
    query = {"next": back or request.get_full_path(), **({"accepted": accepted} if accepted else {})}
    return redirect(reverse("mfa:step_up", query=query))

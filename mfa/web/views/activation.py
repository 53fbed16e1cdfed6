"""Pages for enabling a mode: credentials and type, the mailbox code if needed, the first one-time password."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import email_verification, signin
from accounts.identifiers import masked, tag_of
from accounts.models import User
from accounts.refusals import Refused
from accounts.web import pending_sign_in, proofs, verification
from accounts.web.access import checks_password, needs_recent_proof, public, works_during_assisted_reset
from accounts.web.cookies import invitation_of
from accounts.web.form_pages import bound, refusals_on, render_form, seconds_until
from accounts.web.forms import EmailCodeForm
from accounts.web.origin import origin_of
from accounts.web.redirection import safe_path
from accounts.web.session import keep_session
from mfa import activation, modes
from mfa.models import Challenge, Factor
from mfa.web import enrolments, prompt
from mfa.web.forms import ActivateForm, CompleteActivationForm, CompletePasskeyForm


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@public
@works_during_assisted_reset
@needs_recent_proof
@checks_password
def activate(request: HttpRequest) -> HttpResponse:
    """Ask for the mode to enable and the credentials of the account. A signed-in user need not type them again."""
    is_proven = proofs.has_recent_proof(request)
    initial = {"type": request.GET.get("type", ""), "identifier": getattr(request.user, "email", "")}
    form = bound(request, ActivateForm, initial=initial, is_proven=is_proven)
    if form.is_valid():
        mode = form.cleaned_data["type"]
        with refusals_on(request, form):
            user = _check(request, form.cleaned_data["identifier"], form.cleaned_data["password"])
            if user.mfa_is_on and not request.user.is_authenticated:
                pending_sign_in.begin(request, user, activate=mode, may_remember=False)
                return redirect("mfa:otp_prompt")
            if request.user.is_authenticated:
                enrolments.remember_next(request, safe_path(request.GET.get("next")))
            return enrolments.begin_enrolment(request, user, mode)
    replaces = isinstance(request.user, User) and _replaces(request.user, initial["type"])
    return render_form(request, "mfa/activate.html", form, replaces=replaces, cancel_url=_cancel_url(request))


def _replaces(user: User, mode: str) -> bool:
    """Return whether enrolling a mode replaces what the user's factor of it holds."""
    return mode in user.modes and modes.get(mode).can_be_replaced


def _check(request: HttpRequest, identifier: str, password: str) -> User:
    """Return the user of the credentials, who is the signed-in one if there is one. Raise ``WrongCredentials``.

    The form accepts a blank password only from a session with a recent proof.
    """
    if isinstance(request.user, User) and not password and request.user.is_named(identifier):
        return request.user
    user = signin.check_credentials(identifier, password, origin_of(request))
    if request.user.is_authenticated and user != request.user:
        raise signin.WrongCredentials
    return user


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def confirm_mailbox(request: HttpRequest) -> HttpResponse:
    """Ask for a mailed code before the first factor, so that a stolen password alone cannot add one (SR-23)."""
    proof = enrolments.waiting_proof(request)
    if proof is None or proof.user is None:
        return _enrolment_is_over(request)
    form = bound(request, EmailCodeForm)
    if form.is_valid():
        with refusals_on(request, form, "code"):
            user = email_verification.confirm_mailbox(proof, form.cleaned_data["code"], origin_of(request))
            pending = enrolments.take_first_factor(request)
            verification.remember_mailbox(request, user)
            return enrolments.begin_enrolment(request, user, pending.mode, mailbox_proven=True)
    return render_form(
        request,
        "mfa/confirm_mailbox.html",
        form,
        email=masked(proof.user.email),
        resend_in=seconds_until(email_verification.resend_at(proof)),
        tag=tag_of(proof.pk),
        **prompt.progress_context(proof.pk),
        cancel_url=_cancel_url(request),
    )


@require_POST
@public
def resend_mailbox_code(request: HttpRequest) -> HttpResponse:
    """Mail the code that proves the mailbox again."""
    proof = enrolments.waiting_proof(request)
    if proof is None:
        return _enrolment_is_over(request)
    verification.resend_verification_code(request, proof)
    return redirect("mfa:confirm_mailbox")


@never_cache
@sensitive_post_parameters("otp")
@require_http_methods(["GET", "HEAD", "POST"])
@public
@works_during_assisted_reset
def complete(request: HttpRequest) -> HttpResponse:
    """Ask for the first one-time password of a new mode."""
    enrolment = enrolments.find(request)
    if enrolment is None:
        return _enrolment_is_over(request)
    is_typed, is_first = modes.get(enrolment.mode).is_typed, not enrolment.user.mfa_is_on
    replaces = _replaces(enrolment.user, enrolment.mode)
    form = bound(request, CompleteActivationForm if is_typed else CompletePasskeyForm)
    if form.is_valid():
        session_key = request.session.session_key if request.user.is_authenticated else None
        with refusals_on(request, form, "otp") as refusal:
            factor = activation.complete(
                enrolment, **form.cleaned_data, origin=origin_of(request), session_key=session_key
            )
            return _activated(request, factor, is_first=is_first, replaces=replaces)
        enrolment = enrolments.find(request)
        if enrolment is None:
            return _enrolment_is_over(request, refusal.error)
    return render_form(request, "mfa/complete_activation.html", form, **_context(request, enrolment))


def _activated(request: HttpRequest, factor: Factor, *, is_first: bool, replaces: bool) -> HttpResponse:
    """Redirect to a pending invitation, else to where the user came from; before, offer recovery codes."""
    enrolments.forget(request)
    enabled = _("Multi-factor Authentication successfully enabled!")
    messages.success(request, enabled if is_first else f"{enabled} {_what_changes(factor, replaces=replaces)}")
    invitation = reverse("organizations:accept_invitation") if invitation_of(request) else ""
    verification.remember_factor(request, factor.user, by_mail=modes.get(factor.mode).is_mailed)
    if not request.user.is_authenticated:
        return redirect(reverse("accounts:login", query={"next": invitation} if invitation else None))
    proofs.remember_proof(request, factor)
    keep_session(request, factor.user)
    page = reverse("mfa:passkeys") if modes.get(factor.mode).has_several else prompt.settings_page()
    page = invitation or request.session.pop(enrolments.NEXT_PATH, page)
    return redirect(reverse("mfa:recovery_codes", query={"next": page}) if is_first else page)


def _what_changes(factor: Factor, *, replaces: bool) -> str:
    """Return a sentence on what a further mode means for the next sign-in, or that it has replaced the earlier one."""
    if replaces:
        return _("The app that you used until now no longer works.")
    is_preferred = factor.user.preferred_mode == factor.mode
    text = _("We will ask for %(mode)s first.") if is_preferred else _("You can also sign in with %(mode)s now.")
    return text % {"mode": modes.get(factor.mode).label}


def _context(request: HttpRequest, enrolment: Challenge) -> dict[str, object]:
    mode = modes.get(enrolment.mode)
    return {
        "mode": mode.name,
        "activation_template": f"{mode.templates}/activation.html",
        "cancel_url": _cancel_url(request),
        **prompt.mail_context(enrolment),
        **mode.activation_context(enrolment),
        "is_typed": mode.is_typed,
        "replaces": _replaces(enrolment.user, enrolment.mode),
    }


def _cancel_url(request: HttpRequest) -> str:
    return prompt.settings_page() if request.user.is_authenticated else reverse("accounts:login")


def _enrolment_is_over(request: HttpRequest, refused: Refused | None = None) -> HttpResponse:
    enrolments.forget(request)
    over = _("This activation has expired or was completed. Start again.")
    messages.warning(request, prompt.ended_by(refused) or over)
    return redirect("mfa:activate")


@require_POST
@public
@works_during_assisted_reset
def resend(request: HttpRequest) -> HttpResponse:
    """Mail the code of this enrolment again."""
    enrolment = enrolments.find(request)
    if enrolment is None:
        return _enrolment_is_over(request)
    prompt.send(request, enrolment)
    return redirect("mfa:complete_activation")

"""Pages for changing and resetting a password."""

from django.contrib import auth, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import email_verification, passwords
from accounts.models import EmailVerification
from accounts.web import verification
from accounts.web.access import AuthenticatedHttpRequest, checks_password, needs_recent_proof, public
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.forms import ChangePasswordForm, IdentifierForm, ResetPasswordForm
from accounts.web.origin import origin_of
from accounts.web.verification import remember_verification, verification_is_over, verification_of
from mfa import code_failures

Purpose = EmailVerification.Purpose


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@public
def password_reset(request: HttpRequest) -> HttpResponse:
    """Mail a code for a new password if there is such an account. The response is always the same (SR-3)."""
    form = bound(request, IdentifierForm)
    if form.is_valid():
        with refusals_on(request, form):
            identifier = form.cleaned_data["identifier"]
            proof = email_verification.ask_reset(identifier, origin_of(request))
            remember_verification(request, proof, typed=identifier)
            return redirect("accounts:password_reset_complete")
    return render_form(request, "accounts/password_reset.html", form)


@never_cache
@sensitive_post_parameters("code", "password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def password_reset_complete(request: HttpRequest) -> HttpResponse:
    """Ask for the mailed code and a new password, then redirect to the sign-in page (SR-27)."""
    proof = verification_of(request, Purpose.RESET_PASSWORD)
    if proof is None:
        return verification_is_over(request, "accounts:password_reset")
    form = bound(request, ResetPasswordForm)
    if form.is_valid():
        with refusals_on(request, form, "code"):
            return _reset(request, proof, form)
    return _ask_for_code(request, proof, form)


def _ask_for_code(request: HttpRequest, proof: EmailVerification, form: ResetPasswordForm) -> HttpResponse:
    context = verification.asked_context(request, proof)
    return render_form(request, "accounts/password_reset_complete.html", form, **context)


def _reset(request: HttpRequest, proof: EmailVerification, form: ResetPasswordForm) -> HttpResponse:
    code, password = form.cleaned_data["code"], form.cleaned_data["password"]
    try:
        user = email_verification.reset_password(proof, code, password, origin_of(request), also=code_failures.ease)
    except ValidationError as weak:
        form.add_error("password", weak)
        return _ask_for_code(request, proof, form)
    auth.logout(request)
    verification.remember_mailbox(request, user)
    messages.success(request, _("Your password is changed. Sign in with the new password."))
    return redirect("accounts:login")


@never_cache
@sensitive_post_parameters("current_password", "password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
@checks_password
def password_change(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Change the password and end the other sessions."""
    form = bound(request, ChangePasswordForm, user=request.user)
    if form.is_valid():
        with refusals_on(request, form, "current_password"):
            changed = passwords.change(
                request.user,
                form.cleaned_data["password"],
                origin_of(request),
                current=form.cleaned_data["current_password"],
                session_key=request.session.session_key,
            )
            auth.update_session_auth_hash(request, changed)  # with a new key
            messages.success(request, _("Your password is changed. Your other sessions are signed out."))
            return redirect("accounts:settings")
    return render_form(request, "accounts/password_change.html", form)

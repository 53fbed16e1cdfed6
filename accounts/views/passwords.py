"""Pages of changing a password and of choosing a new one."""

from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import mailbox, passwords
from accounts.forms import (
    ChangePasswordForm,
    IdentifierForm,
    ResetPasswordForm,
)
from accounts.models import MailboxProof
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import (
    person,
    proof_is_over,
    proof_of,
    refuse,
    remember_mailbox_proof,
)
from mfa import browser, code_failures
from mfa.stepup import asks_for_password, needs_fresh_proof
from organizations.policy import works_without_mfa

Purpose = MailboxProof.Purpose


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def password_reset(request: HttpRequest) -> HttpResponse:
    """Mail a code for a new password, if there is such an account; the answer is always the same (SR-3)."""
    form = IdentifierForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            proof = mailbox.ask_reset(form.cleaned_data["identifier"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            remember_mailbox_proof(request, proof)
            return redirect("accounts:password_reset_complete")
    return render(request, "accounts/password_reset.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("code", "password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def password_reset_complete(request: HttpRequest) -> HttpResponse:
    """Ask for the mailed code and a new password. Ends at the sign-in page (SR-27)."""
    proof = proof_of(request, Purpose.RESET_PASSWORD)
    if proof is None:
        return proof_is_over(request, "accounts:password_reset")
    form = ResetPasswordForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            user = mailbox.reset_password(
                proof,
                form.cleaned_data["code"],
                form.cleaned_data["password"],
                origin_of(request),
                also=code_failures.ease,
            )
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        except ValidationError as weak:
            form.add_error("password", weak)
            status = 400
        else:
            auth.logout(request)
            browser.remember_mailbox(request, user)
            messages.success(request, _("Your password is changed. Please sign in with it."))
            return redirect("accounts:login")
    return render(request, "accounts/password_reset_complete.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("current_password", "password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
@asks_for_password
def password_change(request: HttpRequest) -> HttpResponse:
    """Change the password; the other sessions end."""
    user = person(request)
    form = ChangePasswordForm(request.POST if request.method == "POST" else None, user=user)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            changed = passwords.change(
                user,  # type: ignore[arg-type]
                form.cleaned_data["password"],
                origin_of(request),
                current=form.cleaned_data["current_password"],
                session_key=request.session.session_key,
            )
        except Refused as refused:
            status = refuse(request, form, "current_password", refused)
        else:
            auth.update_session_auth_hash(request, changed)  # with a new key
            messages.success(request, _("Your password is changed. Your other sessions were signed out."))
            return redirect("accounts:settings")
    return render(request, "accounts/password_change.html", {"form": form}, status=status)

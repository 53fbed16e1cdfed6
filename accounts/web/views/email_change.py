"""Pages for changing the email address."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import email_change, email_verification
from accounts.identifiers import masked, tag_of
from accounts.models import EmailVerification
from accounts.refusals import Refused
from accounts.web import kept_forms
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof, public
from accounts.web.form_pages import bound, refusals_on, render_form, seconds_until
from accounts.web.forms import EmailCodeForm, EmailForm
from accounts.web.origin import origin_of
from accounts.web.session import keep_session
from accounts.web.verification import (
    remember_verification,
    resend_verification_code,
    verification_is_over,
    verification_of,
)
from mfa import factors


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def change_email(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Ask for the new email address, and mail a code to it."""
    form = bound(request, EmailForm, initial=kept_forms.kept_form(request))
    if form.is_valid():
        with refusals_on(request, form, "email"):
            proof = email_change.ask(request.user, form.cleaned_data["email"], origin_of(request))
            remember_verification(request, proof)
            return redirect("accounts:confirm_email")
    now = timezone.now()
    undo_window = timesince(now - settings.EMAIL_CHANGE_UNDO_WINDOW, now)
    return render_form(request, "accounts/change_email.html", form, undo_window=undo_window)


def _proof(request: HttpRequest) -> EmailVerification | None:
    """Return this browser's verification, unless it belongs to another account."""
    proof = verification_of(request, EmailVerification.Purpose.CHANGE_EMAIL)
    return proof if proof and proof.user_id in {None, request.user.pk} else None


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def confirm_email(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Ask for the code that was mailed to the new email address."""
    proof = _proof(request)
    if proof is None:
        return verification_is_over(request, "accounts:change_email")
    form = bound(request, EmailCodeForm)
    if form.is_valid():
        with refusals_on(request, form, "code"):
            user = email_change.complete(
                proof, form.cleaned_data["code"], origin_of(request), session_key=request.session.session_key
            )
            keep_session(request, user)
            messages.success(request, _("Your email address is changed. Your other sessions are signed out."))
            return redirect("accounts:settings")
    context = {
        "email": masked(proof.email),
        "tag": tag_of(proof.pk),
        "resend_in": seconds_until(email_verification.resend_at(proof)),
    }
    return render_form(request, "accounts/confirm_email.html", form, **context)


@require_POST
def resend_email(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Mail the code to the new email address again."""
    proof = _proof(request)
    if proof is None:
        return verification_is_over(request, "accounts:change_email")
    resend_verification_code(request, proof)
    return redirect("accounts:confirm_email")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@public
def undo_email_change(request: HttpRequest, token: str) -> HttpResponse:
    """Offer to undo a change of the email address. The email to the old address links here. Sign no one in."""
    change = email_change.find_undoable(token)
    if change is None:
        return render(request, "accounts/undo_email_over.html", status=404)
    if request.method == "POST":
        try:
            is_undone = email_change.undo(change, origin_of(request), remove_factors=factors.remove_all)
        except Refused as refused:
            messages.error(request, refused.text)
            return redirect("accounts:login")
        if not is_undone:
            return render(request, "accounts/undo_email_over.html", status=404)
        messages.success(
            request, _("Your old email address is restored. All sessions are signed out. Choose a new password.")
        )
        return redirect("accounts:password_reset")
    context = {"change": change, "old_email": masked(change.old_email), "new_email": masked(change.user.email)}
    return render(request, "accounts/undo_email.html", context)

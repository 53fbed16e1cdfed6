"""Pages of registration and of proving a mailbox."""

from django.conf import settings as configuration
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import known_browsers, mailbox
from accounts.forms import (
    MailboxCodeForm,
    RegisterForm,
)
from accounts.models import MailboxProof
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import (
    MAILBOX_PROOF,
    invitation_of,
    know_browser,
    proof_is_over,
    proof_of,
    refuse,
    remember_mailbox_proof,
    send_mailbox_code_again,
    waits_until,
)
from organizations import invitations
from organizations.policy import works_without_mfa

Purpose = MailboxProof.Purpose


@never_cache
@sensitive_post_parameters("password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def register(request: HttpRequest) -> HttpResponse:
    """Register an account."""
    form = RegisterForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        email = form.cleaned_data["email"]
        try:
            proven = invitations.proves(invitation_of(request), email)
            proof = mailbox.register(email, form.cleaned_data["password"], origin_of(request), proven=proven)
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            if proof is None:
                messages.success(request, _("Your account is ready. Sign in to accept your invitation."))
                return redirect(_after_registration(request))
            remember_mailbox_proof(request, proof)
            return redirect("accounts:verify_email")
    return render(request, "accounts/register.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def verify_email(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was mailed after registration: the account comes with it."""
    proof = proof_of(request, Purpose.REGISTER)
    if proof is None:
        return proof_is_over(request, "accounts:register")
    form = MailboxCodeForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            user = mailbox.complete_registration(proof, form.cleaned_data["code"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        else:
            request.session.pop(MAILBOX_PROOF, None)
            know_browser(request, known_browsers.note_mailbox(user, origin_of(request)))
            messages.success(request, _("Your email address is verified. Sign in to your new account."))
            return redirect(_after_registration(request))
    context = {
        "form": form,
        "resend_at": waits_until(mailbox.resend_at(proof)),
        "lifetime_hours": int(configuration.VERIFY_EMAIL_LIFETIME.total_seconds() // 3600),
    }
    return render(request, "accounts/verify_email.html", context, status=status)


def _after_registration(request: HttpRequest) -> str:
    invitation = f"?next={reverse('organizations:accept_invitation')}" if invitation_of(request) else ""
    return reverse("accounts:login") + invitation


@require_POST
@works_without_mfa
def verify_email_resend(request: HttpRequest) -> HttpResponse:
    """Mail the code again."""
    proof = proof_of(request, Purpose.REGISTER)
    if proof is None:
        return proof_is_over(request, "accounts:register")
    send_mailbox_code_again(request, proof)
    return redirect("accounts:verify_email")

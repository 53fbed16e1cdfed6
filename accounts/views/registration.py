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

from accounts import mailbox
from accounts.forms import (
    MailboxCodeForm,
    RegisterForm,
)
from accounts.identifiers import masked
from accounts.models import MailboxProof
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import (
    INVITATION,
    MAILBOX_PROOF,
    proof_is_over,
    proof_of,
    refuse,
    remember_mailbox_proof,
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
            proven = invitations.proves(request.session.get(INVITATION, ""), email)
            proof = mailbox.register(email, form.cleaned_data["password"], origin_of(request), proven=proven)
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            if proof is None:
                messages.success(request, _("Your account is ready. Sign in to accept your invitation."))
                return redirect(f"{reverse('accounts:login')}?next={reverse('organizations:accept_invitation')}")
            remember_mailbox_proof(request, proof)
            return redirect("accounts:verify_email")
    return render(request, "accounts/register.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def verify_email(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was mailed after registration."""
    proof = proof_of(request, Purpose.VERIFY_EMAIL)
    if proof is None:
        return proof_is_over(request, "accounts:dashboard")
    form = MailboxCodeForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            mailbox.verify_email(proof, form.cleaned_data["code"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        else:
            request.session.pop(MAILBOX_PROOF, None)
            messages.success(request, _("Your email address is verified."))
            return redirect("accounts:dashboard")
    context = {
        "form": form,
        "email": masked(request.user.email) if request.user.is_authenticated else "",
        "resend_at": waits_until(mailbox.resend_at(proof)),
        "lifetime_hours": int(configuration.VERIFY_EMAIL_LIFETIME.total_seconds() // 3600),
    }
    return render(request, "accounts/verify_email.html", context, status=status)


@require_POST
@works_without_mfa
def verify_email_resend(request: HttpRequest) -> HttpResponse:
    """Mail the code again, or a first one for the signed-in user."""
    proof = proof_of(request, Purpose.VERIFY_EMAIL)
    user = request.user
    if proof is None and user.is_authenticated and user.email_verified_at is None:
        remember_mailbox_proof(request, mailbox.ask(user, Purpose.VERIFY_EMAIL))
        return redirect("accounts:verify_email")
    if proof is None:
        return proof_is_over(request, "accounts:dashboard")
    try:
        mailbox.resend(proof)
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("We have sent the code again."))
    return redirect("accounts:verify_email")

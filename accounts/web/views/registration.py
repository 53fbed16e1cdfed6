"""Pages for registering an account and verifying its email address."""

from django.conf import settings as configuration
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import email_verification
from accounts.models import EmailVerification
from accounts.web import verification
from accounts.web.access import public
from accounts.web.cookies import invitation_of
from accounts.web.form_pages import bound, refusals_on, render_form, seconds_until
from accounts.web.forms import EmailCodeForm, RegisterForm
from accounts.web.invited import invited_email
from accounts.web.origin import origin_of
from accounts.web.sign_in_page import sign_in, sign_in_newcomer
from accounts.web.verification import (
    remember_verification,
    resend_verification_code,
    verification_is_over,
    verification_of,
)
from organizations import invitations

Purpose = EmailVerification.Purpose


@never_cache
@sensitive_post_parameters("password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def register(request: HttpRequest) -> HttpResponse:
    """Register an account."""
    form = bound(request, RegisterForm, initial={"email": invited_email(request)})
    if form.is_valid():
        email = form.cleaned_data["email"]
        with refusals_on(request, form):
            proven = invitations.proves(invitation_of(request), email)
            password = form.cleaned_data["password"]
            proof = email_verification.register(email, password, origin_of(request), proven=proven)
            if proof is None:
                messages.success(request, _("Your account is ready. You can accept your invitation now."))
                return sign_in(request, email, password, reverse("organizations:accept_invitation"))
            remember_verification(request, proof, typed=email)
            return redirect("accounts:verify_email")
    # An invitation proves its email: that registration mails no code.
    return render_form(request, "accounts/register.html", form, is_invited=bool(invitation_of(request)))


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def verify_email(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was mailed after registration, create the account and sign in."""
    proof = verification_of(request, Purpose.REGISTER)
    if proof is None:
        return verification_is_over(request, "accounts:register")
    form = bound(request, EmailCodeForm)
    if form.is_valid():
        with refusals_on(request, form, "code"):
            user = email_verification.complete_registration(proof, form.cleaned_data["code"], origin_of(request))
            verification.remember_mailbox(request, user)
            sign_in_newcomer(request, user, typed_at=proof.created_at)
            messages.success(request, _("Your email address is verified, and you are signed in."))
            return redirect("organizations:accept_invitation" if invitation_of(request) else "accounts:dashboard")
    context = {
        "resend_in": seconds_until(email_verification.resend_at(proof)),
        **verification.asked_context(request, proof),
        "lifetime_hours": int(configuration.VERIFY_EMAIL_LIFETIME.total_seconds() // 3600),
    }
    return render_form(request, "accounts/verify_email.html", form, **context)


@require_POST
@public
def verify_email_resend(request: HttpRequest) -> HttpResponse:
    """Mail the code again."""
    proof = verification_of(request, Purpose.REGISTER)
    if proof is None:
        return verification_is_over(request, "accounts:register")
    resend_verification_code(request, proof)
    return redirect("accounts:verify_email")

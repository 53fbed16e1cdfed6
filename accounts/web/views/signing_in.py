"""Pages for signing in and out."""

from django.contrib import messages
from django.db.models import OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import security_log, signin
from accounts.models import Channel, User
from accounts.web import pending_sign_in, proofs
from accounts.web.access import public, works_during_assisted_reset
from accounts.web.form_pages import bound, refusals_on
from accounts.web.forms import SignInForm
from accounts.web.origin import origin_of
from accounts.web.redirection import safe_path
from accounts.web.session import empty_session, sign_out, start_session
from accounts.web.sign_in_page import render_sign_in
from organizations import policy

FORBIDDEN = "remembering_forbidden"  # of a user: an organization forbids remembered browsers


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def login(request: HttpRequest) -> HttpResponse:
    """Ask for credentials. If MFA is on, redirect to the OTP prompt."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(safe_path(request.GET.get("next")) or "accounts:dashboard")
    form = bound(request, SignInForm, initial={"next": request.GET.get("next", "")})
    if form.is_valid():
        with refusals_on(request, form):
            user = signin.check_credentials(
                form.cleaned_data["identifier"],
                form.cleaned_data["password"],
                origin_of(request),
                annotations={FORBIDDEN: policy.remembering_is_forbidden(OuterRef("pk"))},
            )
            return _sign_in(request, user, form.cleaned_data["next"])
    return render_sign_in(request, form)


def _sign_in(request: HttpRequest, user: User, next_path: str) -> HttpResponse:
    if user.mfa_is_on:
        may_remember = not getattr(user, FORBIDDEN)
        if may_remember and pending_sign_in.sign_in_remembered(request, user):
            return redirect(next_path or "accounts:dashboard")
        pending_sign_in.begin(request, user, next_path=next_path, may_remember=may_remember)
        return redirect("mfa:otp_prompt")
    empty_session(request)
    finished = signin.finish_without_code(user, origin_of(request), channel=Channel.BROWSER)
    start_session(request, finished)
    proofs.remember_password(request)
    return redirect(next_path or "accounts:dashboard")


@require_POST
@public
@works_during_assisted_reset
def logout(request: HttpRequest) -> HttpResponse:
    """End this session."""
    if request.user.is_authenticated:
        security_log.record(request.user, security_log.Kind.SIGNED_OUT, origin_of(request))
    sign_out(request)
    messages.success(request, _("You have been signed out."))
    return redirect("accounts:login")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@public
def not_me(request: HttpRequest, token: str) -> HttpResponse:
    """Offer to withdraw a password that an attacker knows. The email about it links here. Sign no one in."""
    event = signin.find_withdrawal(token)
    if event is None:
        return render(request, "accounts/not_me_over.html", status=404)
    if request.method == "POST":
        signin.withdraw_password(event, origin_of(request))
        messages.success(request, _("The password is withdrawn. All sessions are signed out. Choose a new password."))
        return redirect("accounts:password_reset")
    context = {"event": event, "browser": security_log.agent_in_words(event.agent)}
    return render(request, "accounts/not_me.html", context)

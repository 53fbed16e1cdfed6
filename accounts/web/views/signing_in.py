"""Pages for signing in and out."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import security_log, signin
from accounts.web.access import public, works_during_assisted_reset
from accounts.web.form_pages import bound, refusals_on
from accounts.web.forms import SignInForm
from accounts.web.invited import invited_email
from accounts.web.origin import origin_of
from accounts.web.redirection import safe_path
from accounts.web.session import sign_out
from accounts.web.sign_in_page import render_sign_in, sign_in


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def login(request: HttpRequest) -> HttpResponse:
    """Ask for credentials. If MFA is on, redirect to the OTP prompt."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(safe_path(request.GET.get("next")) or "accounts:dashboard")
    initial = {"next": request.GET.get("next", ""), "identifier": invited_email(request)}
    form = bound(request, SignInForm, initial=initial)
    if form.is_valid():
        with refusals_on(request, form):
            typed = form.cleaned_data
            return sign_in(request, typed["identifier"], typed["password"], typed["next"])
    return render_sign_in(request, form)


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
    try:
        event = signin.find_withdrawal(token)
        if request.method == "POST":
            signin.withdraw_password(event, origin_of(request))
    except signin.NothingToWithdraw as refused:
        return render(request, "accounts/not_me_over.html", {"refused": refused}, status=404)
    if request.method == "POST":
        messages.success(request, _("The password is withdrawn. All sessions are signed out. Choose a new password."))
        return redirect("accounts:password_reset")
    context = {"event": event, "browser": security_log.agent_in_words(event.agent)}
    return render(request, "accounts/not_me.html", context)

"""The dashboard, the settings and what a person says of themselves."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import profile
from accounts.forms import (
    ProfileForm,
)
from accounts.identifiers import masked
from accounts.models import Mode
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import (
    person,
    refuse,
)
from mfa import modes, recovery
from organizations import policy
from organizations.policy import works_without_mfa


@require_safe
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show where things stand."""
    user = person(request)
    context = {
        "mfa_on": user.mfa_is_on,
        "recovery_codes_left": recovery.left(user) if user.mfa_is_on else 0,
        "few_recovery_codes": recovery.FEW,
        "preferred_mode": user.preferred_mode,
        "email_verified": user.email_verified_at is not None,
    }
    return render(request, "accounts/dashboard.html", context)


@require_safe
@works_without_mfa
@login_required
def settings(request: HttpRequest) -> HttpResponse:
    """Show the account's settings; the MFA section expands."""
    user = person(request)
    factors, recovery_codes_left = modes.overview(user)
    enabled = {factor.mode for factor in factors}
    required_by = policy.requiring(user)
    context = {
        "recovery_codes_left": recovery_codes_left,
        "modes": [
            {
                "name": mode.value,
                "icon": "phone" if mode == Mode.AUTHENTICATOR else "mail",
                "enabled": mode in enabled,
                "preferred": mode == user.preferred_mode,
                "target": masked(user.email) if mode == Mode.EMAIL else "",
                "needed_by": [
                    organization.name
                    for organization in required_by
                    if mode in enabled and not organization.is_met_by(user.modes - {mode})
                ],
            }
            for mode in Mode
        ],
        "mfa_open": "mfa" in request.GET,
        "required_by": required_by,
    }
    return render(request, "accounts/settings.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
def profile_edit(request: HttpRequest) -> HttpResponse:
    """Change name and user name."""
    user = person(request)
    form = ProfileForm(
        request.POST if request.method == "POST" else None, initial={"name": user.name, "username": user.username}
    )
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            profile.change(user, **form.cleaned_data, origin=origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "username", refused)
        else:
            messages.success(request, _("Your profile is saved."))
            return redirect("accounts:settings")
    return render(request, "accounts/profile_edit.html", {"form": form}, status=status)

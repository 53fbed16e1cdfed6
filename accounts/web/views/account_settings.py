"""The dashboard, the account settings and the profile."""

import json

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import profile, security_log, time_zones
from accounts.web.access import AuthenticatedHttpRequest, memberships_of
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.forms import ProfileForm, TimeZoneForm
from accounts.web.origin import origin_of
from accounts.web.time_zones import zone_of_browser
from mfa import modes, passkey_proofs, passkey_signals, recovery, way_back
from organizations import policy
from organizations.standings import standings_of

MAX_ORGANIZATIONS_SHOWN = 10
MAX_SIGN_INS_SHOWN = 3
MAX_QUERY_LENGTH = 100


@require_safe
def dashboard(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Show the dashboard."""
    user = request.user
    health = way_back.health_of(user)
    context = {
        "health": health,
        "few_recovery_codes": user.mfa_is_on and health.recovery_codes_left <= recovery.LOW_RECOVERY_CODES,
        "email_verified": user.email_verified_at is not None,
        # Who signs in without mail can do without it for a while; the settings tell of it in any case.
        "mail_problem": user.mailbox_problem if not user.mfa_is_on or modes.any_mailed(user.modes) else "",
        "standings": standings_of(user, memberships_of(request).rows[:MAX_ORGANIZATIONS_SHOWN]),
        "sign_ins": security_log.of_user(user, kind=security_log.Kind.SIGNED_IN)[:MAX_SIGN_INS_SHOWN],
    }
    return render(request, "accounts/dashboard.html", context)


@require_safe
def settings(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Show the account settings, with the MFA section open if the query contains ``mfa``."""
    user = request.user
    enabled = user.modes
    required_by = policy.requiring(user, memberships_of(request))
    health = way_back.health_of(user)
    context = {
        "now": timezone.now(),
        "health": health,
        "has_mailed_mode": modes.any_mailed(user.modes),
        "modes": [
            {
                "name": mode.name,
                "icon": mode.icon,
                "enabled": mode.name in enabled,
                "preferred": mode.name == user.preferred_mode,
                "target": mode.target_of(user),
                "health": health.factors.get(mode.name),
                "can_be_replaced": mode.can_be_replaced,
                "list_url": reverse("mfa:passkeys") if mode.has_several else "",
                "needed_by": [
                    organization.name
                    for organization in required_by
                    if mode.name in enabled and not organization.is_met_by(user.modes - {mode.name})
                ],
            }
            for mode in modes.ALL.values()
        ],
        "mfa_open": "mfa" in request.GET,
        "passkey_details": json.dumps(passkey_signals.user_details(user)) if passkey_proofs.MODE in enabled else "",
        "required_by": required_by,
    }
    return render(request, "accounts/settings.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def profile_edit(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Change the name and the username."""
    user = request.user
    form = bound(request, ProfileForm, initial={"name": user.name, "username": user.username})
    if form.is_valid():
        with refusals_on(request, form, "username"):
            profile.change(user, **form.cleaned_data, origin=origin_of(request))
            messages.success(request, _("Your profile is saved."))
            return redirect("accounts:settings")
    return render_form(request, "accounts/profile_edit.html", form)


@require_http_methods(["GET", "HEAD", "POST"])
def change_time_zone(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Choose the time zone of pages and mails. ``q`` searches the list."""
    query = request.GET.get("q", "").strip()[:MAX_QUERY_LENGTH] if request.method != "POST" else ""
    initial = {"time_zone": request.user.time_zone}
    form = bound(request, TimeZoneForm, initial=initial, of_browser=zone_of_browser(request), query=query)
    if form.is_valid():
        with refusals_on(request, form, "time_zone"):
            time_zones.choose(request.user, form.cleaned_data["time_zone"])
            messages.success(request, _("Your time zone is saved."))
            return redirect("accounts:settings")
    is_found = not query or bool(time_zones.choices(query))
    return render_form(request, "accounts/time_zone.html", form, q=query, is_found=is_found)

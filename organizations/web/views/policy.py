"""Pages on which owners set an organization's MFA policy."""

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, time
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.refusals import Refused
from accounts.web import kept_forms, proofs
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from organizations import accepted_modes, member_counts, policy_changes, policy_impact
from organizations.models import OWNERS, Membership, Organization
from organizations.policy_changes import PolicySettings
from organizations.web.forms import PolicyForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import confirm_below, page_of
from organizations.web.wording import (
    announced_in_words,
    consequences,
    impact_in_words,
    mails_in_words,
    missing_in_words,
    not_required_in_words,
    policy_mails_in_words,
    show_refusal,
    take_back_in_words,
    told_in_words,
)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def require(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Require MFA of every member from now on: one click on the organization's page."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    if request.method == "POST":
        settings = replace(policy_changes.settings_of(owner.organization), required=True)
        if asked := _asked_to_prove(request, owner.organization, settings):
            return asked
        try:
            policy_changes.require(owner, origin_of(request), proved=proofs.proved_modes(request))
        except Refused as refused:
            return show_refusal(request, owner.organization, refused)
        messages.success(request, _required_in_words(owner.organization))
        return redirect(owner.organization)
    impact = policy_impact.of(owner.organization)
    return confirm_below(
        request,
        owner,
        "organization",
        title=_("Require multi-factor authentication?"),
        icon="lock",
        text=[*impact_in_words(impact), *consequences(owner.organization, impact)],
        button=_("Require"),
        button_class="action",
        cancel_url=owner.organization.get_absolute_url(),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def stop_requiring(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Make MFA optional again, or cancel the start date."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    organization = owner.organization
    held = organization.mfa_required
    if request.method == "POST":
        try:
            policy_changes.stop_requiring(owner, origin_of(request))
        except Refused as refused:
            return show_refusal(request, organization, refused)
        messages.success(request, not_required_in_words(organization, held=held))
        return redirect(organization)
    name = {"name": organization.name}
    return confirm_below(
        request,
        owner,
        "organization",
        title=_("Stop requiring multi-factor authentication?") if held else _("Cancel the start date?"),
        icon="lock",
        text=[
            _("Members of %(name)s can then disable multi-factor authentication.") % name
            if held
            else _("%(name)s will not require multi-factor authentication.") % name,
            told_in_words(),
        ],
        button=_("Stop requiring"),
        button_class="danger",
        cancel_url=organization.get_absolute_url(),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def options(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Set the start date, the accepted modes, and whether browsers may be remembered."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    organization = owner.organization
    initial: dict[str, object] = {
        "counting": accepted_modes.name_of(organization.accepted_modes),
        "remembering_forbidden": organization.remembering_forbidden,
        "required_from": organization.mfa_required_at.date() if organization.mfa_required_at else None,
    }
    if kept := kept_forms.kept_form(request):  # a browser does not send an unchecked box
        initial |= {**kept, "remembering_forbidden": "remembering_forbidden" in kept}
    impact = policy_impact.missing(organization)
    form = bound(request, PolicyForm, initial=initial, organization=organization, counts=impact.counts)
    if form.is_valid():
        settings = _settings(organization, form)
        if asked := _asked_to_prove(request, organization, settings):
            return asked
        if policy_changes.blocks_more(organization, settings) and "confirmed" not in request.POST:
            return _confirm(request, owner, settings)
        with refusals_on(request, form):
            seen, proved = policy_changes.settings_of(organization), proofs.proved_modes(request)
            policy_changes.set_policy(owner, settings, origin_of(request), seen=seen, proved=proved)
            messages.success(request, _saved_in_words(organization, seen))
            return redirect(organization)
    context = {
        **page_of(owner, "policy"),
        "impact": impact,
        "mails": policy_mails_in_words(),
        "own_mfa_is_off": not organization.is_met_by(owner.user.modes),
        "activation_path": organization.activation_path_and_back,
    }
    return render_form(request, "organizations/policy.html", form, focus=False, **context)


def _required_in_words(organization: Organization) -> str:
    counts = member_counts.of(organization)
    done = _("Multi-factor authentication is now required of every member.")
    lines = [done, missing_in_words(counts, is_required=True)]
    if counts.missing:
        lines += [mails_in_words(), take_back_in_words()]
    return " ".join(lines)


def _saved_in_words(organization: Organization, before: PolicySettings) -> str:
    """Return what the page says after it has saved the policy: who is blocked, from when, and who is emailed."""
    organization.refresh_from_db()
    lines = [_("The policy is saved.")]
    tightened = accepted_modes.is_stricter(organization.accepted_modes, than=before.accepted_modes)
    if tightened or organization.mfa_required_at != before.required_from:
        if organization.mfa_required:
            lines.append(_required_in_words(organization))
        elif starts_at := organization.mfa_required_at:
            lines.append(announced_in_words(organization, starts_at, member_counts.of(organization)))
    return " ".join(lines)


def _asked_to_prove(
    request: AuthenticatedHttpRequest, organization: Organization, settings: PolicySettings
) -> HttpResponse | None:
    """Redirect an owner who demands more than this session has proved to a step-up, and then back to the form."""
    proposed = _with_modes(organization, settings)
    if not settings.required or not policy_changes.is_unproved(request.user, proposed, proofs.proved_modes(request)):
        return None
    messages.info(request, policy_changes.OwnModeNotProved(proposed, request.user).text)
    return proofs.ask_for_proof(request, accepted=proposed.accepted_modes)


def _with_modes(organization: Organization, settings: PolicySettings) -> Organization:
    proposed = copy(organization)
    proposed.accepted_modes = settings.accepted_modes
    return proposed


def _confirm(request: HttpRequest, owner: Membership, settings: PolicySettings) -> HttpResponse:
    """Ask for confirmation of settings that would block members at once, and show whom."""
    organization = owner.organization
    proposed = _with_modes(organization, settings)
    impact = policy_impact.of(proposed)
    return confirm_below(
        request,
        owner,
        "policy",
        title=_("Require this from now on?"),
        icon="lock",
        text=[
            _("Accepted modes: %(modes)s.") % {"modes": accepted_modes.label_of(settings.accepted_modes)},
            *impact_in_words(impact),
            *consequences(proposed, impact),
        ],
        button=_("Require"),
        button_class="action",
        hidden={**kept_forms.typed_fields(request), "confirmed": "yes"},
        cancel_url=reverse("organizations:policy", args=[organization.pk]),
    )


def _settings(organization: Organization, form: PolicyForm) -> PolicySettings:
    asked = form.cleaned_data
    starts, at = asked.get("required_from"), organization.mfa_required_at
    is_the_same = at is not None and starts == at.date()  # the form has only days; the API may have set an hour
    return PolicySettings(
        required=organization.mfa_required or starts is not None,
        required_from=at if is_the_same else datetime.combine(starts, time(), UTC) if starts else None,
        accepted_modes=asked["counting"],
        remembering_forbidden=asked["remembering_forbidden"],
    )

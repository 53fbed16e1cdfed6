"""Pages of an organization's MFA policy, and the page that explains it to whoever it stops."""

from datetime import UTC, datetime, time
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import person, refuse
from mfa import browser
from mfa.stepup import needs_fresh_proof
from organizations import compliance, overview, policy, rehearsal, reminders
from organizations import membership as memberships
from organizations.forms import PolicyForm, RehearsalForm
from organizations.models import MANAGERS, Membership, Organization, RehearsalHit
from organizations.requests import OWNERS, membership_of

PER_PAGE = 25
CHANGES_SHOWN = 500


def _impact_in_words(organization: Organization) -> list[str]:
    impact = overview.impact(organization)
    text = [
        ngettext(
            "%(missing)d of %(members)d member does not meet this yet and is asked for it at the next click.",
            "%(missing)d of %(members)d members do not meet this yet and are asked for it at their next click.",
            impact.members,
        )
        % {"missing": impact.missing, "members": impact.members}
    ]
    if impact.missing:
        names = ", ".join(impact.examples)
        more = _(" and %(n)d more") % {"n": impact.more} if impact.more else ""
        text.append(_("They are: %(names)s%(more)s.") % {"names": names, "more": more})
        signed_in = _("Signed in right now: at least %(n)d.") if impact.is_partial else _("Signed in right now: %(n)d.")
        text.append(f"{signed_in % {'n': impact.signed_in}} {_('Nobody is signed out, and nobody is removed.')}")
        text.append(_("In browser and command line this organization is closed to them until they enable it."))
    return text


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def require(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Require MFA of every member from now on: one click on the organization's page."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    if request.method == "POST":
        try:
            policy.require(owner, origin_of(request), counting=owner.organization.counting_modes)
        except policy.OwnMfaIsOff as refused:
            messages.error(request, refused.text)
            return redirect("mfa:activate")
        messages.success(request, _("Multi-factor authentication is now required of every member."))
        return redirect(owner.organization)
    context = {
        "title": _("Require multi-factor authentication?"),
        "icon": "lock",
        "text": _impact_in_words(owner.organization),
        "button": _("Require"),
        "button_class": "action",
        "cancel_url": owner.organization.get_absolute_url(),
    }
    return render(request, "mfa/confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def stop_requiring(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Leave MFA to the members again."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    if request.method == "POST":
        policy.stop_requiring(owner, origin_of(request))
        messages.success(request, _("Multi-factor authentication is no longer required."))
        return redirect(owner.organization)
    context = {
        "title": _("Stop requiring multi-factor authentication?"),
        "icon": "lock",
        "text": [_("Members of %(name)s may then disable it.") % {"name": owner.organization.name}],
        "button": _("Stop requiring"),
        "button_class": "danger",
        "cancel_url": owner.organization.get_absolute_url(),
    }
    return render(request, "mfa/confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def options(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Set from when MFA is required, which modes count, and whether browsers may be remembered."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    organization = owner.organization
    initial = {
        "counting": organization.counting_modes,
        "remembering_forbidden": organization.remembering_forbidden,
        "required_from": organization.mfa_required_at.date() if organization.mfa_required_at else None,
        **browser.kept_form(request),
    }
    form = PolicyForm(request.POST if request.method == "POST" else None, initial=initial)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            _set_options(request, owner, form)
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            messages.success(request, _("The policy is saved."))
            return redirect(organization)
    context = {
        "form": form,
        "rehearsal_form": RehearsalForm(),
        "organization": organization,
        "impact": overview.impact(organization),
        "hits": [_as_row(hit) for hit in rehearsal.hits(organization)[:PER_PAGE]],
    }
    return render(request, "organizations/policy.html", context, status=status)


def _as_row(hit: RehearsalHit) -> dict[str, object]:
    return {
        "email": hit.user.email,
        "channel": hit.get_channel_display(),
        "count": hit.count,
        "at": hit.last_at,
        "from": hit.address,
    }


def _set_options(request: HttpRequest, owner: Membership, form: PolicyForm) -> None:
    asked, origin, organization = form.cleaned_data, origin_of(request), owner.organization
    starts = asked["required_from"]
    at = datetime.combine(starts, time(), UTC) if starts else None
    if at or organization.mfa_required:
        policy.require(owner, origin, at=at, counting=asked["counting"])
    else:
        policy.set_counting(owner, asked["counting"], origin)
        policy.stop_requiring(owner, origin)  # one that was only announced
    policy.set_remembering(owner, forbidden=asked["remembering_forbidden"], origin=origin)


@require_POST
@needs_fresh_proof
@login_required
def rehearse(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Begin or end a rehearsal."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    form = RehearsalForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose for how many days."))
    else:
        try:
            policy.rehearse(owner, origin_of(request), days=form.cleaned_data["days"])
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(request, _("The rehearsal is set: nobody is stopped."))
    return redirect("organizations:policy", organization_id)


@require_safe
@login_required
def compliance_page(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Show how many members meet the policy, over time, and who is left."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    context = {
        "organization": manager.organization,
        "is_owner": manager.role in OWNERS,
        "impact": overview.impact(manager.organization),
        "chart": compliance.chart(compliance.days(manager.organization)),
        "last_reminder": reminders.last_run(manager.organization),
    }
    return render(request, "organizations/compliance.html", context)


@require_POST
@login_required
def remind(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Remind everybody who is left, once a day at most."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    try:
        reminders.start(owner, origin_of(request))
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("The reminders are on their way; they do not delay one-time passwords."))
    return redirect("organizations:compliance", organization_id)


@require_safe
@login_required
def evidence(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Show, to be printed, since when MFA was required and whom it spared."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    changes = list(compliance.changes(organization)[: CHANGES_SHOWN + 1])
    context = {
        "organization": organization,
        "at": timezone.now(),
        "periods": compliance.periods(organization),
        "exempt": compliance.exempt(organization)[:CHANGES_SHOWN],
        "impact": overview.impact(organization),
        "changes": changes[:CHANGES_SHOWN],
        "more": len(changes) > CHANGES_SHOWN,
    }
    return render(request, "organizations/evidence.html", context)


@require_safe
@policy.works_without_mfa
@login_required
def mfa_required(request: HttpRequest) -> HttpResponse:
    """Explain the block: which organization, since when, what to do, what still works."""
    blocking = policy.blocking(person(request))
    if not blocking:
        return redirect("accounts:dashboard")
    for organization in blocking:
        organization.leave_url = reverse("organizations:leave", args=[organization.pk])  # type: ignore[attr-defined]
    stopped = {organization.pk for organization in blocking}
    mine = memberships.of_user(person(request)).exclude(organization__in=stopped)[:PER_PAGE]
    context = {
        "blocking": blocking,
        "others": [membership.organization for membership in mine],
        "mode": "authenticator" if any(organization.counting_modes for organization in blocking) else "",
    }
    return render(request, "organizations/mfa_required.html", context)

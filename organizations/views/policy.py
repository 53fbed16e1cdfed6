"""Pages of an organization's MFA policy, and those that explain it to whoever it concerns."""

from copy import copy
from datetime import UTC, datetime, time
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import person, refuse
from mfa import browser
from mfa.stepup import needs_fresh_proof
from organizations import compliance, overview, policy, policy_changes, rehearsal, reminders
from organizations import membership as memberships
from organizations.forms import PolicyForm, RehearsalForm
from organizations.models import MANAGERS, Counting, Membership, Organization, RehearsalHit
from organizations.requests import OWNERS, membership_of, standing_of
from organizations.shown import activation_of, consequences, impact_in_words, member_rows, missing_in_words

PER_PAGE = 25
CHANGES_SHOWN = 500


def _refused(request: HttpRequest, organization: Organization, refused: Refused) -> HttpResponse:
    """Say why not; whoever lacks MFA is led to it."""
    messages.error(request, refused.text)
    return redirect(activation_of(organization) if isinstance(refused, policy_changes.OwnMfaIsOff) else organization)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def require(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Require MFA of every member from now on: one click on the organization's page."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    if request.method == "POST":
        try:
            policy_changes.require(owner, origin_of(request))
        except Refused as refused:
            return _refused(request, owner.organization, refused)
        done = _("Multi-factor authentication is now required of every member.")
        messages.success(request, f"{done} {missing_in_words(overview.counts(owner.organization))}")
        return redirect(owner.organization)
    impact = overview.impact(owner.organization)
    context = {
        "title": _("Require multi-factor authentication?"),
        "icon": "lock",
        "text": [*impact_in_words(impact), *consequences(owner.organization, impact)],
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
    organization = owner.organization
    held = organization.mfa_required
    if request.method == "POST":
        try:
            policy_changes.stop_requiring(owner, origin_of(request))
        except Refused as refused:
            return _refused(request, organization, refused)
        done = _("Multi-factor authentication is no longer required.")
        messages.success(request, done if held else _("The date is taken back."))
        return redirect(organization)
    name = {"name": organization.name}
    context = {
        "title": _("Stop requiring multi-factor authentication?") if held else _("Take the date back?"),
        "icon": "lock",
        "text": [
            _("Members of %(name)s may then disable it.") % name
            if held
            else _("%(name)s will not require multi-factor authentication.") % name,
            _("Members who were told of it are told of this too."),
        ],
        "button": _("Stop requiring"),
        "button_class": "danger",
        "cancel_url": organization.get_absolute_url(),
    }
    return render(request, "mfa/confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def options(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Set from when MFA is required, which modes count, and whether browsers may be remembered."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    organization = owner.organization
    initial: dict[str, object] = {
        "counting": organization.counting_modes,
        "remembering_forbidden": organization.remembering_forbidden,
        "required_from": organization.mfa_required_at.date() if organization.mfa_required_at else None,
    }
    if kept := browser.kept_form(request):  # a box that is not ticked is not sent
        initial |= {**kept, "remembering_forbidden": "remembering_forbidden" in kept}
    data = request.POST if request.method == "POST" else None
    form = PolicyForm(data, initial=initial, organization=organization)
    status = 400 if form.errors else 200
    if form.is_valid():
        terms = _terms(organization, form)
        if policy_changes.stops_more(organization, terms) and "confirmed" not in request.POST:
            return _confirm_terms(request, organization, terms)
        try:
            seen = policy_changes.terms_of(organization)
            policy_changes.set_terms(owner, terms, origin_of(request), seen=seen)
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            messages.success(request, _("The policy is saved."))
            return redirect(organization)
    context = {"form": form, "organization": organization, "impact": overview.missing(organization)}
    return render(request, "organizations/policy.html", context, status=status)


def _confirm_terms(request: HttpRequest, organization: Organization, terms: policy_changes.Terms) -> HttpResponse:
    """Say, before they hold, whom new terms would stop at once."""
    proposed = copy(organization)
    proposed.counting_modes = terms.counting
    impact = overview.impact(proposed)
    context = {
        "title": _("Require this from now on?"),
        "icon": "lock",
        "text": [
            _("Modes that count: %(modes)s.") % {"modes": Counting(terms.counting).label},
            *impact_in_words(impact),
            *consequences(proposed, impact),
        ],
        "button": _("Require"),
        "button_class": "action",
        "hidden": {**browser.typed(request), "confirmed": "yes"},
        "cancel_url": reverse("organizations:policy", args=[organization.pk]),
    }
    return render(request, "mfa/confirm.html", context)


def _terms(organization: Organization, form: PolicyForm) -> policy_changes.Terms:
    asked = form.cleaned_data
    starts, at = asked.get("required_from"), organization.mfa_required_at
    is_the_same = at is not None and starts == at.date()  # the form knows days, a script may have named an hour
    return policy_changes.Terms(
        required=organization.mfa_required or starts is not None,
        required_from=at if is_the_same else datetime.combine(starts, time(), UTC) if starts else None,
        counting=asked["counting"],
        remembering_forbidden=asked["remembering_forbidden"],
    )


def _as_row(hit: RehearsalHit) -> dict[str, object]:
    return {
        "email": hit.user.email,
        "channel": hit.get_channel_display(),
        "count": hit.count,
        "first": hit.first_at,
        "at": hit.last_at,
        "from": hit.address,
    }


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def rehearse(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Show whom the policy would have stopped, when and from where; owners begin and end a rehearsal here."""
    is_post = request.method == "POST"
    manager = membership_of(request, organization_id, roles=OWNERS if is_post else MANAGERS)
    if is_post:
        return _rehearse(request, manager) if browser.has_fresh_proof(request) else browser.ask_for_proof(request)
    organization = manager.organization
    page = Paginator(rehearsal.hits(organization), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "organization": organization,
        "is_owner": manager.role in OWNERS,
        "form": RehearsalForm(initial=browser.kept_form(request)),
        "page": page,
        "hits": [_as_row(hit) for hit in page],
    }
    return render(request, "organizations/rehearsal.html", context)


def _rehearse(request: HttpRequest, owner: Membership) -> HttpResponse:
    form = RehearsalForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose for how many days."))
        return redirect("organizations:rehearsal", owner.organization_id)
    try:
        policy_changes.rehearse(owner, origin_of(request), days=form.cleaned_data["days"])
    except Refused as refused:
        return _refused(request, owner.organization, refused)
    begun = _("The rehearsal is set: nobody is stopped.")
    messages.success(request, begun if form.cleaned_data["days"] else _("The rehearsal is ended."))
    return redirect("organizations:rehearsal", owner.organization_id)


@never_cache
@require_safe
@login_required
def exemptions(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """List the service accounts that the policy spares, why and until when."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    page = overview.members(organization, state="exempt", after=request.GET.get("after", "")[:254], limit=PER_PAGE)
    context = {"organization": organization, "page": page, "rows": member_rows(organization, page.rows)}
    return render(request, "organizations/exemptions.html", context)


@never_cache
@require_safe
@login_required
def compliance_page(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Show how many members meet the policy, over time, and who is left."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    missing = overview.missing(manager.organization)
    days = compliance.days(manager.organization, missing.counts)
    last, again_at = reminders.recently(manager.organization)
    context = {
        "organization": manager.organization,
        "is_owner": manager.role in OWNERS,
        "impact": missing,
        "chart": compliance.chart(days),
        "days": days[::-1],
        "last_reminder": last,
        "remind_at": again_at,
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


@never_cache
@require_safe
@login_required
def evidence(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Show, to be printed, since when MFA was required and whom it spared."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    changes = list(compliance.changes(organization)[: CHANGES_SHOWN + 1])
    exemptions = compliance.exemptions(organization)
    context = {
        "organization": organization,
        "at": timezone.now(),
        "periods": [(period, period.within(exemptions)) for period in compliance.periods(organization)],
        "now_exempt": [one for one in exemptions if one.until > timezone.now()],
        "counts": overview.counts(organization),
        "changes": changes[:CHANGES_SHOWN],
        "more": len(changes) > CHANGES_SHOWN,
    }
    return render(request, "organizations/evidence.html", context)


# --- for whom it concerns -------------------------------------------------------------------------


@never_cache
@require_safe
@policy.works_without_mfa
@login_required
def mfa_required(request: HttpRequest) -> HttpResponse:
    """Explain the block: which organization, since when, what to do, what still works."""
    blocking = standing_of(request).blocking
    if not blocking:
        return redirect("accounts:dashboard")
    who = policy.required_by(blocking)
    for organization in blocking:
        organization.leave_url = reverse("organizations:leave", args=[organization.pk])  # type: ignore[attr-defined]
        organization.required_by = who.get(organization.pk, "")  # type: ignore[attr-defined]
    stopped = {organization.pk for organization in blocking}
    mine = memberships.of_user(person(request)).exclude(organization__in=stopped)[:PER_PAGE]
    context = {
        "blocking": blocking,
        "others": [membership.organization for membership in mine],
        "has_another": person(request).mfa_is_on,
        "mode": "authenticator" if any(organization.counting_modes for organization in blocking) else "",
    }
    return render(request, "organizations/mfa_required.html", context)


@never_cache
@require_safe
@policy.works_without_mfa
@login_required
def asked_of_me(request: HttpRequest) -> HttpResponse:
    """Say which of my organizations asks for what, and what all of them together come to."""
    user = person(request)
    page = Paginator(memberships.of_user(user), PER_PAGE).get_page(request.GET.get("page"))
    for membership in page:
        membership.user = user
    context = {"page": page, "rows": [_asked(row) for row in page], "strictest": policy.strictest(user)}
    return render(request, "organizations/asked_of_me.html", context)


def _asked(row: Membership) -> dict[str, object]:
    organization = row.organization
    return {
        "name": organization.name,
        "url": organization.get_absolute_url(),
        "required_at": organization.mfa_required_at,
        "is_announced": organization.mfa_announced,
        "counting": Counting(organization.counting_modes).label if organization.mfa_required_at else "",
        "remembering_forbidden": organization.remembering_forbidden,
        "exempt_until": row.exempt_until if row.is_exempt else None,
        "is_met": policy.is_met(row),
        "activation": activation_of(organization),
    }

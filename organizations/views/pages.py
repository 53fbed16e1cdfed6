"""Pages of organizations. A stranger gets 404, a member without the role 403 (SR-39)."""

import re
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.identifiers import masked
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import csv_file, invitation_of, person, refuse, remember_invitation
from accounts.security_log import agent_in_words
from mfa import browser
from mfa.stepup import needs_fresh_proof
from organizations import environments, invitations, overview, policy
from organizations import membership as memberships
from organizations.context import as_row
from organizations.forms import EnvironmentForm, OrganizationForm, RenameEnvironmentForm
from organizations.models import MANAGERS, Environment, Membership, Role
from organizations.requests import EVERYBODY, OWNERS, membership_of
from organizations.shown import activation_of, consequences, member_rows, signed_in_in_words

PER_PAGE = 25
EVENTS_PER_PAGE = 50
CODE = re.compile(r"\A[\w-]{1,200}\Z", re.ASCII)


@require_safe
@policy.works_without_mfa
@login_required
def list_mine(request: HttpRequest) -> HttpResponse:
    """All organizations of the signed-in user."""
    page = Paginator(memberships.of_user(person(request)), PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "organizations": [as_row(membership) for membership in page]}
    return render(request, "organizations/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def organization(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Show an organization; its owners change its name here."""
    is_post = request.method == "POST"
    membership = membership_of(request, organization_id, roles=OWNERS if is_post else EVERYBODY)
    is_owner = membership.role == Role.OWNER
    form = OrganizationForm(request.POST if is_post else None, initial={"name": membership.organization.name})
    if is_post and form.is_valid():
        memberships.rename(membership, form.cleaned_data["name"], origin_of(request))
        messages.success(request, _("Organization successfully updated!"))
        return redirect(membership.organization)
    impact = overview.impact(membership.organization) if membership.role in MANAGERS else None
    context = {
        "organization": membership.organization,
        "is_owner": is_owner,
        "is_manager": membership.role in MANAGERS,
        "form": form if is_owner else None,
        "impact": impact,
        "consequences": consequences(membership.organization, impact) if impact else [],
        "signed_in": signed_in_in_words(impact) if impact and impact.counts.missing else "",
        "meets_it": policy.is_met(membership),
        "activation": activation_of(membership.organization),
        "mine": None if is_owner else _as_owners_see(membership),
        "role_label": membership.get_role_display(),
    }
    return render(request, "organizations/organization.html", context, status=400 if form.errors else 200)


def _as_owners_see(membership: Membership) -> dict[str, object]:
    found = overview.member(membership.organization, membership.user_id)
    return member_rows(membership.organization, [found])[0] if found else {}


@require_http_methods(["GET", "HEAD", "POST"])
@policy.works_without_mfa
@login_required
def leave(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Leave an organization; also for who is stopped by its policy."""
    membership = membership_of(request, organization_id)
    name = membership.organization.name
    if membership.role in MANAGERS and not browser.has_fresh_proof(request):
        return browser.ask_for_proof(request)
    if request.method == "POST":
        try:
            memberships.leave(membership, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(request, _("You have left %(name)s.") % {"name": name})
        return redirect("accounts:dashboard")
    context = {
        "title": _("Leave %(name)s?") % {"name": name},
        "icon": "users",
        "text": [_("You lose access to everything of this organization. Only an invitation brings you back.")],
        "button": _("Leave"),
        "button_class": "danger",
        "cancel_url": reverse("accounts:dashboard"),
    }
    return render(request, "mfa/confirm.html", context)


@never_cache
@require_safe
@login_required
def log(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Show owners and admins what happened to the organization."""
    membership = membership_of(request, organization_id, roles=MANAGERS)
    page = Paginator(memberships.events(membership.organization), EVENTS_PER_PAGE).get_page(request.GET.get("page"))
    rows = [
        {
            "at": event.at,
            "what": event.what,
            "subject": event.subject,
            "who": event.who,
            "address": event.address or "–",
            "browser": agent_in_words(event.agent),
        }
        for event in page
    ]
    context = {"organization": membership.organization, "page": page, "rows": rows}
    return render(request, "organizations/log.html", context)


@never_cache
@require_safe
@login_required
def log_csv(request: HttpRequest, organization_id: UUID) -> StreamingHttpResponse:
    """Give the whole security log as a file, row by row."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    head = [_("Time (UTC)"), _("What"), _("Whom or what"), _("By"), _("Address"), _("Browser")]
    rows = memberships.events(organization).iterator(chunk_size=1000)
    cells = (
        [f"{row.at:%Y-%m-%d %H:%M:%S}", row.what, row.subject, row.who, row.address or "", agent_in_words(row.agent)]
        for row in rows
    )
    return csv_file("security-log", head, cells)


# --- environments -------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def environment_list(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """List the environments of an organization; its owners add one here."""
    is_post = request.method == "POST"
    membership = membership_of(request, organization_id, roles=OWNERS if is_post else EVERYBODY)
    is_owner = membership.role == Role.OWNER
    form = EnvironmentForm(request.POST if is_post else None) if is_owner else None
    status = 200
    if form and is_post:
        status = 400
        if form.is_valid():
            try:
                made = environments.create(membership, **form.cleaned_data, origin=origin_of(request))
            except Refused as refused:
                status = refuse(request, form, "name", refused)
            else:
                messages.success(request, _("The environment %(name)s is created.") % {"name": made.name})
                return redirect("organizations:environments", organization_id)
    rows = environments.of_organization(membership.organization)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {"organization": membership.organization, "is_owner": is_owner, "form": form, "page": page}
    return render(request, "organizations/environments.html", context, status=status)


def _environment(request: HttpRequest, organization_id: UUID, environment_id: UUID) -> tuple[Membership, Environment]:
    owner = membership_of(request, organization_id, roles=OWNERS)
    return owner, get_object_or_404(environments.of_organization(owner.organization), pk=environment_id)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def rename_environment(request: HttpRequest, organization_id: UUID, environment_id: UUID) -> HttpResponse:
    """Rename an environment."""
    owner, environment = _environment(request, organization_id, environment_id)
    form = RenameEnvironmentForm(request.POST if request.method == "POST" else None, initial={"name": environment.name})
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            environments.rename(owner, environment, name=form.cleaned_data["name"], origin=origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "name", refused)
        else:
            messages.success(request, _("The environment is renamed."))
            return redirect("organizations:environments", organization_id)
    context = {"organization": owner.organization, "environment": environment, "form": form}
    return render(request, "organizations/rename_environment.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def remove_environment(request: HttpRequest, organization_id: UUID, environment_id: UUID) -> HttpResponse:
    """Remove an environment, after a confirmation."""
    owner, environment = _environment(request, organization_id, environment_id)
    if request.method == "POST":
        environments.remove(owner, environment, origin_of(request))
        messages.success(request, _("The environment %(name)s is removed.") % {"name": environment.name})
        return redirect("organizations:environments", organization_id)
    context = {
        "title": _("Remove the environment %(name)s?") % {"name": environment.name},
        "icon": "warning",
        "text": [_("The command line no longer finds it. What runs on the pod is not touched.")],
        "button": _("Remove"),
        "button_class": "danger",
        "cancel_url": reverse("organizations:environments", args=[organization_id]),
    }
    return render(request, "mfa/confirm.html", context)


# --- accepting an invitation ----------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@policy.works_without_mfa
def accept_invitation(request: HttpRequest) -> HttpResponse:
    """Show an invitation to whoever follows its link, and let the person whom it names accept it.

    The code moves from the address into a cookie at once, so that no later page's address holds it (SR-19) and a look
    at it stores nothing.
    """
    if request.method != "POST" and (code := request.GET.get(invitations.CODE_PARAMETER)):
        if not CODE.match(code) or invitations.find(code) is None:
            return render(request, "organizations/invitation_over.html", status=404)
        remember_invitation(request, code)
        return redirect("organizations:accept_invitation")
    code = invitation_of(request)
    invitation = invitations.find(code) if code else None
    if invitation is None:
        remember_invitation(request, "")
        return render(request, "organizations/invitation_over.html", status=404)
    # What is accepted is what the page has shown: another link may have been opened since.
    is_shown = request.POST.get("invitation", str(invitation.pk)) == str(invitation.pk)
    if request.method == "POST" and request.user.is_authenticated and is_shown:
        return _accept(request, code)
    user = request.user
    context = {
        "invitation": invitation,
        "email": masked(invitation.email),
        "is_mine": user.is_authenticated and user.email_key == invitation.email_key,
        "here": reverse("organizations:accept_invitation"),
        "mfa_first": invitation.organization.mfa_required
        and not (user.is_authenticated and invitation.organization.is_met_by(user.modes)),
    }
    return render(request, "organizations/accept_invitation.html", context)


def _accept(request: HttpRequest, code: str) -> HttpResponse:
    try:
        joined = invitations.accept(person(request), code, origin_of(request))
    except policy.MfaMissing as refused:
        messages.warning(request, f"{refused.text} {_('Activate it; then you come back to your invitation.')}")
        return redirect(activation_of(refused.organization))
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect("organizations:accept_invitation")
    remember_invitation(request, "")
    messages.success(request, _("You are now a member of %(name)s.") % {"name": joined.name})
    return redirect(joined)

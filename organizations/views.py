"""Pages of organizations. A stranger gets 404, a member without the role 403 (SR-39)."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import person
from mfa.stepup import needs_fresh_proof
from organizations import membership as memberships
from organizations import policy
from organizations.context import as_row
from organizations.forms import OrganizationForm
from organizations.models import Membership, Role

PER_PAGE = 25


def _membership(request: HttpRequest, organization_id: UUID, *, role: str | None = None) -> Membership:
    found = memberships.find(person(request), organization_id)
    if found is None:
        raise Http404
    if role is not None and found.role != role:
        raise PermissionDenied
    found.user = person(request)
    return found


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
    membership = _membership(request, organization_id, role=Role.OWNER if is_post else None)
    is_owner = membership.role == Role.OWNER
    form = OrganizationForm(request.POST if is_post else None, initial={"name": membership.organization.name})
    if is_post and form.is_valid():
        memberships.rename(membership, form.cleaned_data["name"], origin_of(request))
        messages.success(request, _("Organization successfully updated!"))
        return redirect(membership.organization)
    context = {
        "organization": membership.organization,
        "is_owner": is_owner,
        "form": form if is_owner else None,
        "role_label": membership.get_role_display(),
    }
    return render(request, "organizations/organization.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def require(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Require MFA of every member: one click on the organization's page."""
    membership = _membership(request, organization_id, role=Role.OWNER)
    if request.method == "POST":
        try:
            policy.require(membership, origin_of(request))
        except policy.OwnMfaIsOff as refused:
            messages.error(request, refused.text)
            return redirect("mfa:activate")
        messages.success(request, _("Multi-factor authentication is now required of every member."))
        return redirect(membership.organization)
    context = {
        "title": _("Require multi-factor authentication?"),
        "icon": "lock",
        "text": [
            _("Every member of %(name)s without multi-factor authentication is asked to enable it at their next click.")
            % {"name": membership.organization.name}
        ],
        "button": _("Require"),
        "button_class": "action",
        "cancel_url": membership.organization.get_absolute_url(),
    }
    return render(request, "mfa/confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def stop_requiring(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Leave MFA to the members again."""
    membership = _membership(request, organization_id, role=Role.OWNER)
    if request.method == "POST":
        policy.stop_requiring(membership, origin_of(request))
        messages.success(request, _("Multi-factor authentication is no longer required."))
        return redirect(membership.organization)
    context = {
        "title": _("Stop requiring multi-factor authentication?"),
        "icon": "lock",
        "text": [_("Members of %(name)s may then disable it.") % {"name": membership.organization.name}],
        "button": _("Stop requiring"),
        "button_class": "danger",
        "cancel_url": membership.organization.get_absolute_url(),
    }
    return render(request, "mfa/confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@policy.works_without_mfa
@login_required
def leave(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """Leave an organization; also for who is stopped by its policy."""
    membership = _membership(request, organization_id)
    name = membership.organization.name
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
    context = {"blocking": blocking, "others": [membership.organization for membership in mine]}
    return render(request, "organizations/mfa_required.html", context)

"""Pages of an organization's environments."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.confirmation import confirm
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from organizations import environments
from organizations.models import EVERYBODY, OWNERS, Environment, Membership, Role
from organizations.web.forms import EnvironmentForm, RenameEnvironmentForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of

PER_PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
def environment_list(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """List the environments of an organization. Owners add one here."""
    is_post = request.method == "POST"
    membership = membership_of(request, organization_id, roles=OWNERS if is_post else EVERYBODY)
    is_owner = membership.role == Role.OWNER
    form = bound(request, EnvironmentForm)
    if form.is_valid():
        with refusals_on(request, form, "name"):
            made = environments.create(membership, **form.cleaned_data, origin=origin_of(request))
            messages.success(request, _("The environment %(name)s is created.") % {"name": made.name})
            return redirect("organizations:environments", organization_id)
    rows = environments.of_organization(membership.organization)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {**page_of(membership, "environments"), "is_owner": is_owner, "page": page}
    return render_form(request, "organizations/environments.html", form, focus=False, **context)


def _environment(
    request: AuthenticatedHttpRequest, organization_id: UUID, environment_id: UUID
) -> tuple[Membership, Environment]:
    owner = membership_of(request, organization_id, roles=OWNERS)
    return owner, get_object_or_404(environments.of_organization(owner.organization), pk=environment_id)


@require_http_methods(["GET", "HEAD", "POST"])
def rename_environment(request: AuthenticatedHttpRequest, organization_id: UUID, environment_id: UUID) -> HttpResponse:
    """Rename an environment."""
    owner, environment = _environment(request, organization_id, environment_id)
    form = bound(request, RenameEnvironmentForm, initial={"name": environment.name})
    if form.is_valid():
        with refusals_on(request, form, "name"):
            environments.rename(owner, environment, name=form.cleaned_data["name"], origin=origin_of(request))
            messages.success(request, _("The environment is renamed."))
            return redirect("organizations:environments", organization_id)
    context = {**page_of(owner, "environments", is_below=True), "environment": environment}
    return render_form(request, "organizations/rename_environment.html", form, **context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def remove_environment(request: AuthenticatedHttpRequest, organization_id: UUID, environment_id: UUID) -> HttpResponse:
    """Remove an environment, after a confirmation."""
    owner, environment = _environment(request, organization_id, environment_id)
    if request.method == "POST":
        environments.remove(owner, environment, origin_of(request))
        messages.success(request, _("The environment %(name)s is removed.") % {"name": environment.name})
        return redirect("organizations:environments", organization_id)
    return confirm(
        request,
        title=_("Remove the environment %(name)s?") % {"name": environment.name},
        icon="warning",
        text=[_("The command line no longer finds this environment. What runs on the pod is not affected.")],
        button=_("Remove"),
        button_class="danger",
        cancel_url=reverse("organizations:environments", args=[organization_id]),
    )

"""Admin pages of organizations, pods and environments."""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import ProtectedError, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.admin import (
    MAX_FOUND,
    PER_PAGE,
    Act,
    PageAdmin,
    PortalModelAdmin,
    ReasonForm,
    ReasonModelForm,
    Request,
    column,
)
from accounts.models import User
from accounts.refusals import Refused
from accounts.web.forms import validate_plain_line
from accounts.web.origin import origin_of
from organizations import member_list, membership, organization_state
from organizations.models import Environment, EventKind, Organization, Pod
from organizations.organization_state import OrganizationState


class PodInUse(Refused):
    """An environment runs on the pod."""

    message = gettext_lazy("Environments run on this pod, so it cannot be removed.")


class RenameForm(ReasonForm):
    """A new name, and the reason."""

    name = forms.CharField(
        label=gettext_lazy("New name"),
        validators=[validate_plain_line],
        max_length=128,
        widget=forms.TextInput({"autocomplete": "off", "class": "vTextField"}),
    )
    field_order = ("name", "reason")


def _rename(organization: Organization, request: Request) -> str:
    membership.rename_by_staff(
        organization, request.values["name"], by=request.staff, reason=request.reason, origin=request.origin
    )
    return _("The organization is renamed.")


def _remove_pod(pod: Pod, _request: Request) -> str:
    try:
        with transaction.atomic():
            pod.delete()
    except ProtectedError:
        raise PodInUse from None
    return _("The pod is removed.")


def _remove_environment(environment: Environment, request: Request) -> str:
    _log(environment, EventKind.ENVIRONMENT_REMOVED, request)
    environment.delete()
    return _("The environment is removed.")


def _log(environment: Environment, kind: EventKind, request: Request) -> None:
    subject = f"{environment.name}: {request.reason}"
    membership.record(environment.organization, request.staff, kind, request.origin, subject=subject)


@admin.register(Pod)
class PodAdmin(PortalModelAdmin):
    """Places where environments run."""

    form = ReasonModelForm
    list_display = ("name", "phi_safe", "import_requires_length")
    search_fields = ("name",)
    ordering = ("name",)
    acts = (
        Act(
            "remove",
            gettext_lazy("Remove"),
            gettext_lazy("Environments can no longer be created on this pod."),
            "organizations.delete_pod",
            _remove_pod,
            is_dangerous=True,
        ),
    )


@admin.register(Environment)
class EnvironmentAdmin(PortalModelAdmin):
    """Environments of all organizations. Changes by staff appear in the organization's security log."""

    form = ReasonModelForm
    list_display = ("name", "organization", "pod", column("created_at", gettext_lazy("Created")))
    list_select_related = ("organization", "pod")
    list_filter = ("pod",)
    search_fields = ("name__startswith",)
    raw_id_fields = ("organization",)  # Django's field with suggestions has no name for screen readers
    acts = (
        Act(
            "remove",
            gettext_lazy("Remove"),
            gettext_lazy("The command-line client no longer finds this environment. This cannot be undone."),
            "organizations.delete_environment",
            _remove_environment,
            is_dangerous=True,
        ),
    )

    def save_model(self, request: HttpRequest, obj: Environment, form: Any, change: bool) -> None:
        """Save the environment and log the change, with its reason, for its organization."""
        super().save_model(request, obj, form, change)
        confirmed = Request(cast("User", request.user), origin_of(request), form.cleaned_data)
        _log(obj, EventKind.ENVIRONMENT_CHANGED if change else EventKind.ENVIRONMENT_CREATED, confirmed)


@admin.register(Organization)
class OrganizationAdmin(PageAdmin):
    """Organizations. Only their owners change the policy; ``manage.py create_organization`` creates one."""

    page_template = "admin/organization.html"
    list_display = (
        "name",
        column("created_at", gettext_lazy("Created")),
        column("mfa_required_at", gettext_lazy("MFA required from")),
    )
    search_fields = ("name",)
    search_help_text = gettext_lazy("The beginning of the name")
    acts = (
        Act(
            "rename",
            gettext_lazy("Rename"),
            gettext_lazy("The owners get an email about it."),
            "organizations.change_organization",
            _rename,
            form=RenameForm,
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs, with that of the list of members."""
        view = self.admin_site.admin_view(self.members)
        return [path("<uuid:object_id>/members/", view, name="organizations_organization_members"), *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Organization], search_term: str
    ) -> tuple[QuerySet[Organization], bool]:
        """Find by the beginning of the name, which has an index."""
        if not search_term.strip():
            return queryset, False
        found = queryset.filter(name__istartswith=search_term.strip()).order_by()
        keys = list(found.values_list("pk", flat=True)[:MAX_FOUND])
        self.warn_if_many(request, len(keys))
        return queryset.filter(pk__in=keys).order_by("name", "pk"), False

    def state_of(self, request: HttpRequest, obj: Organization) -> OrganizationState:
        """Return the state of an organization."""
        del request
        return organization_state.of(obj)

    @method_decorator(require_safe)
    def members(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """List the members of an organization, a page at a time, by any part of their email or name."""
        organization = get_object_or_404(Organization, pk=object_id)
        if not self.has_view_permission(request, organization):
            raise PermissionDenied
        q, after = request.GET.get("q", "")[:254], request.GET.get("after", "")[:254]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Members of %(name)s") % {"name": organization.name},
            "opts": self.opts,
            "organization": organization,
            "page": member_list.page(organization, search=q, after=after, limit=PER_PAGE),
            "q": q,
        }
        return TemplateResponse(request, "admin/members.html", context)

"""Admin pages of organizations, pods and environments."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import PortalModelAdmin
from accounts.models import User
from accounts.web.origin import origin_of
from organizations import membership
from organizations.models import Environment, EventKind, Organization, Pod


@admin.register(Pod)
class PodAdmin(PortalModelAdmin):
    """Places where environments run."""

    list_display = ("name", "phi_safe", "import_requires_length")
    search_fields = ("name",)


@admin.register(Environment)
class EnvironmentAdmin(PortalModelAdmin):
    """Environments of all organizations. Changes by staff appear in the organization's security log."""

    list_display = ("name", "organization", "pod", "created_at")
    list_select_related = ("organization", "pod")
    list_filter = ("pod",)
    search_fields = ("name", "organization__name")
    autocomplete_fields = ("organization", "pod")
    show_full_result_count = False

    def save_model(self, request: HttpRequest, obj: Environment, form: Any, change: bool) -> None:
        """Save the environment and log the change for its organization."""
        super().save_model(request, obj, form, change)
        self._log(request, obj, EventKind.ENVIRONMENT_CHANGED if change else EventKind.ENVIRONMENT_CREATED)

    def delete_model(self, request: HttpRequest, obj: Environment) -> None:
        """Delete the environment and log it for its organization."""
        super().delete_model(request, obj)
        self._log(request, obj, EventKind.ENVIRONMENT_REMOVED)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete the environments one by one, so that each is logged."""
        for environment in queryset:
            self.delete_model(request, environment)

    def _log(self, request: HttpRequest, obj: Environment, kind: EventKind) -> None:
        membership.record(obj.organization, cast("User", request.user), kind, origin_of(request), subject=obj.name)


@admin.register(Organization)
class OrganizationAdmin(PortalModelAdmin):
    """Organizations. Only their owners change the policy."""

    list_display = ("name", "created_at", "mfa_required_at")
    search_fields = ("name",)
    fields = ("name", "mfa_required_at", "created_at")
    readonly_fields = ("mfa_required_at", "created_at")
    show_full_result_count = False

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Return False: ``manage.py create_organization`` creates an organization with its owner."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Organization | None = None) -> bool:
        """Return False: deleting an organization cannot be undone."""
        return False

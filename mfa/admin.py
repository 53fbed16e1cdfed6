"""The admin page of assisted resets (SR-28). The page of an account starts and withdraws them."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.admin import PortalModelAdmin, column
from accounts.models import User
from mfa.models import AssistedReset


@admin.register(AssistedReset)
class AssistedResetAdmin(PortalModelAdmin):
    """Shows who started each reset, why, and its state. Shows no code."""

    list_display = (
        "user",
        column("started_by", gettext_lazy("Started by")),
        column("authority", gettext_lazy("Role")),
        "reason",
        column("created_at", gettext_lazy("Started")),
        column("due_at", gettext_lazy("Second code from")),
        column("ended_at", gettext_lazy("Ended")),
    )
    list_display_links = None
    list_select_related = ("user", "started_by")
    search_fields = ("user__email_key__startswith",)
    ordering = ("-created_at",)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Return False: the page of the account starts a reset."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Return False: a reset can only be withdrawn, on the page of its account."""
        return False

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Return whether the staff may start resets."""
        return bool(cast("User", request.user).has_perm("mfa.add_assistedreset"))

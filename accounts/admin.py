"""Accounts, as staff see them: who they are, never what they know."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import User


@admin.register(User)
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no subscript at run time
    """Staff find an account and can disable it; everything else is its owner's."""

    list_display = ("email", "username", "name", "preferred_mode", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email_key", "username_key")
    show_full_result_count = False
    fields = (
        "email", "email_verified_at", "username", "name", "preferred_mode", "last_login", "created_at", "is_active",
    )  # fmt: skip
    readonly_fields = tuple(name for name in fields if name != "is_active")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """People register themselves."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """An account is disabled, not deleted: its log has to stay."""
        return False

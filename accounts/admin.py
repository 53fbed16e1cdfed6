"""The admin pages of accounts. They show no secret of a user."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest

from accounts import sessions
from accounts.locks import lock_user
from accounts.models import User


class PortalModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no subscript at run time
    """Accept only the filters that a list offers: others would let staff guess any column through the URL (SR-52)."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:  # type: ignore[override]  # the stubs know no ``request``
        """Return whether the list offers this filter of the URL."""
        del value, request
        return lookup.split("__", maxsplit=1)[0] in self.list_filter


@admin.register(User)
class UserAdmin(PortalModelAdmin):
    """Lets staff find an account and disable it. Only the user can change anything else."""

    list_display = ("email", "username", "name", "preferred_mode", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email_key", "username_key")
    show_full_result_count = False
    fields = (
        "email", "email_verified_at", "username", "name", "preferred_mode", "last_login", "created_at", "is_active",
    )  # fmt: skip
    readonly_fields = tuple(name for name in fields if name != "is_active")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save, and end all sessions and tokens of an account that was disabled or enabled."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)  # type: ignore[safe-super]  # no body in the stubs
            if "is_active" in form.changed_data:
                sessions.end_others(lock_user(obj), keep=None)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Return False: users register themselves."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Return False: an account is disabled instead, because its security log has to stay."""
        return False

"""The admin pages of assisted resets that staff start (SR-28)."""

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin import PortalModelAdmin
from accounts.models import User
from accounts.refusals import Refused
from accounts.web.origin import origin_of
from mfa import assisted_reset
from mfa.models import AssistedReset


@admin.register(AssistedReset)
class AssistedResetAdmin(PortalModelAdmin):
    """Shows who started each reset, why, and its state. Shows no code."""

    list_display = ("user", "started_by", "authority", "created_at", "due_at", "ended_at")
    list_select_related = ("user", "started_by")
    search_fields = ("user__email_key",)
    show_full_result_count = False
    fields = ("user", "reason")
    autocomplete_fields = ("user",)
    actions = ("withdraw",)

    def save_model(self, request: HttpRequest, obj: AssistedReset, _form: Any, _change: bool) -> None:
        """Start the reset, or show the refusal."""
        try:
            started = assisted_reset.start(
                obj.user,
                by=cast("User", request.user),
                authority=_("staff of the portal"),
                reason=obj.reason,
                origin=origin_of(request),
            )
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            obj.pk = started.pk
            messages.success(request, _("The reset is started. We emailed the account to confirm it."))

    def log_addition(self, request: HttpRequest, obj: AssistedReset, message: Any) -> Any:
        """Log a reset that was started. A refused one has no row."""
        return super().log_addition(request, obj, message) if _is_started(obj) else None

    def response_add(self, request: HttpRequest, obj: AssistedReset, post_url_continue: Any = None) -> Any:
        """Redirect to the list."""
        del post_url_continue
        return self.response_post_save_add(request, obj)

    def has_change_permission(self, _request: HttpRequest, _obj: AssistedReset | None = None) -> bool:
        """Return False: a reset can only be withdrawn."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: AssistedReset | None = None) -> bool:
        """Return False: resets stay on record."""
        return False

    def has_view_permission(self, request: HttpRequest, _obj: AssistedReset | None = None) -> bool:
        """Return whether the user may start resets."""
        return self.has_add_permission(request)

    @admin.action(description=gettext_lazy("Withdraw the selected resets"), permissions=["add"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[AssistedReset]) -> None:
        """End resets that are no longer needed."""
        for user in User.objects.filter(pk__in=queryset.filter(ended_at=None).values("user")):
            assisted_reset.cancel(user, origin_of(request))
        self.message_user(request, _("Withdrawn at %(at)s UTC.") % {"at": f"{timezone.now():%H:%M}"})


def _is_started(reset: AssistedReset) -> bool:
    return AssistedReset.objects.filter(pk=reset.pk).exists()

"""The page for forgetting a remembered browser."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.confirmation import confirm
from accounts.web.origin import origin_of
from mfa import remembered_browsers


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def forget(request: AuthenticatedHttpRequest, browser_id: UUID) -> HttpResponse:
    """Forget a remembered browser: at once by POST; a GET, after a step-up, asks first."""
    if request.method != "POST":
        return confirm(
            request,
            title=_("Forget this browser?"),
            icon="lock",
            text=[_("Its next sign-in needs a one-time password again.")],
            button=_("Forget"),
            button_class="danger",
            cancel_url=reverse("accounts:sessions"),
        )
    if remembered_browsers.forget(request.user, browser_id, origin_of(request)):
        messages.success(request, _("That browser is forgotten. Its next sign-in needs a one-time password."))
    else:
        messages.warning(request, _("That browser was already forgotten."))
    return redirect("accounts:sessions")

"""Enforcement from above: whoever does not meet a policy is led to what to do about it (SR-41)."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.origin import origin_of
from mfa import browser, remembered
from organizations import policy, rehearsal
from organizations.models import Door, Organization
from organizations.requests import standing_of

GetResponse = Callable[[HttpRequest], HttpResponse]


class EnforceMfa:
    """Ask the policy, only for signed-in users without an authenticator; for everyone else this costs nothing.

    Deny by default: a view works without MFA only if it is marked so, or belongs to another organization.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; the view is known only in ``process_view``."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], _args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Redirect to the page that explains, if an organization waits for this user's MFA."""
        if getattr(view, "works_without_mfa", False) or not request.user.is_authenticated:
            return None
        standing = standing_of(request)
        if _concerns(standing.blocking, kwargs):
            return redirect("organizations:mfa_required")
        for organization in standing.rehearsing:
            if _concerns([organization], kwargs):
                rehearsal.note(organization, request.user, Door.BROWSER, origin_of(request))
        is_remembered = browser.mode_of_session(request) == remembered.MODE
        if is_remembered and _concerns(policy.forbidding_remembering(request.user), kwargs):
            messages.info(request, _("Your organization asks for a one-time password in this session."))
            here = request.get_full_path() if request.method == "GET" else reverse("accounts:dashboard")
            return redirect(f"{reverse('mfa:step_up')}?{urlencode({'next': here})}")
        return None


def _concerns(organizations: list[Organization], kwargs: dict[str, Any]) -> bool:
    """Whether a view shows something of one of ``organizations``; a view of another one does not."""
    shown = kwargs.get("organization_id")
    return bool(organizations) and (shown is None or shown in {organization.pk for organization in organizations})

"""Enforcement from above: whoever does not meet a policy is led to what to do about it (SR-41)."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from organizations import policy

GetResponse = Callable[[HttpRequest], HttpResponse]


class EnforceMfa:
    """Ask the policy, only for signed-in users with MFA off; for everyone else this costs nothing.

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
        blocking = policy.blocking(request.user)
        if not blocking:
            return None
        organization_id = kwargs.get("organization_id")
        if organization_id is not None and organization_id not in {organization.pk for organization in blocking}:
            return None
        return redirect("organizations:mfa_required")

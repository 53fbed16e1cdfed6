"""A session proves how it was made (design, decision 7)."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.models import User
from accounts.refusals import Refused
from mfa import browser, rescue

# All that a session of an assisted reset opens, until there is a new factor.
AFTER_RESET = frozenset(
    {
        "mfa:activate",
        "mfa:complete_activation",
        "mfa:resend_enrolment",
        "accounts:logout",
        "help_mfa",
        "help_mfa_troubleshooting",
    }
)
GetResponse = Callable[[HttpRequest], HttpResponse]


class AskForProof:
    """Lead sessions of users with MFA on to the prompt: those never verified, and stale ones where it matters.

    One that an assisted reset has opened leads to the enrolment of a new factor until there is one (SR-28).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; the view is known only in ``process_view``."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], _args: list[Any], _kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Redirect to the OTP prompt (SR-33) or to the step-up (SR-22) where a proof is missing."""
        user = request.user
        if not user.is_authenticated:
            return None
        here = request.get_full_path()
        if user.mfa_is_on and not user.is_verified():
            return self._prompt(request, user, here if request.method == "GET" else "")
        if browser.mode_of_session(request) == rescue.MODE and not self._leads_to_enrolment(request):
            return redirect("mfa:activate")
        asks_itself = getattr(view, "asks_for_password", False) and not user.mfa_is_on
        if getattr(view, "needs_fresh_proof", False) and not asks_itself and not browser.has_fresh_proof(request):
            return browser.ask_for_proof(request)
        return None

    def _leads_to_enrolment(self, request: HttpRequest) -> bool:
        return request.resolver_match is not None and request.resolver_match.view_name in AFTER_RESET

    def _prompt(self, request: HttpRequest, user: User, next_path: str) -> HttpResponse:
        try:
            browser.begin_sign_in(request, user, next_path=next_path, may_remember=False)
        except Refused as refused:  # the password was changed this very moment
            messages.warning(request, refused.text)
            return redirect("accounts:login")
        return redirect("mfa:otp_prompt")

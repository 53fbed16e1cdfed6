"""Access control of pages: the marks of views, and the checks in their order.

Access is denied by default. A view without a mark requires a sign-in and everything that the account and its
organizations require. Django's ``LoginRequiredMiddleware`` checks the sign-in, ``AccessMiddleware`` the rest.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, reverse
from django.utils.translation import gettext as _

from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.web import pending_sign_in, proofs
from accounts.web.origin import origin_of
from mfa import assisted_reset, remembered_browsers
from organizations import policy, rehearsal
from organizations.models import Organization
from organizations.policy import PolicyStatus

View = TypeVar("View", bound=Callable[..., Any])
GetResponse = Callable[[HttpRequest], HttpResponse]
MARKS = "access_marks"  # of a view
POLICY_STATUS = "policy_status"  # of a request


class AuthenticatedHttpRequest(HttpRequest):
    """The request of a view that requires a sign-in."""

    user: User


class Mark(StrEnum):
    """How a view differs from the default."""

    PUBLIC = "works without a sign-in"
    NEEDS_RECENT_PROOF = "requires a recent proof of a factor, or of the password if MFA is off (SR-22)"
    PROVES_ITSELF = "its form asks for it: where MFA is off, no recent proof is needed"
    WORKS_WHILE_BLOCKED = "works for a user whom an organization's MFA policy blocks (SR-41)"
    WORKS_DURING_ASSISTED_RESET = "works in the session of an assisted reset, to set up a new factor (SR-28)"


def marks_of(view: Callable[..., Any]) -> frozenset[Mark]:
    """Return the marks of a view."""
    return cast("frozenset[Mark]", getattr(view, MARKS, frozenset()))


def _decorator(mark: Mark) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        setattr(view, MARKS, marks_of(view) | {mark})
        return view

    return decorate


needs_recent_proof = _decorator(Mark.NEEDS_RECENT_PROOF)
checks_password = _decorator(Mark.PROVES_ITSELF)
works_while_blocked = _decorator(Mark.WORKS_WHILE_BLOCKED)
works_during_assisted_reset = _decorator(Mark.WORKS_DURING_ASSISTED_RESET)


def public(view: View) -> View:
    """Mark a view as one that works without a sign-in."""
    return _decorator(Mark.PUBLIC)(login_not_required(view))


def all_work_while_blocked(patterns: list[URLPattern]) -> list[URLPattern]:
    """Mark the views of URL patterns with ``works_while_blocked``; return the patterns."""
    for pattern in patterns:
        works_while_blocked(pattern.callback)
    return patterns


def all_public(patterns: Iterable[URLPattern | URLResolver]) -> None:
    """Mark the views of a package that checks access itself with ``public`` and ``works_while_blocked``."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            all_public(pattern.url_patterns)
        else:
            public(pattern.callback)
            works_while_blocked(pattern.callback)


def policy_status_of(request: HttpRequest) -> PolicyStatus:
    """Return how the signed-in user meets the MFA policies of their organizations. At most one query per request."""
    if not hasattr(request, POLICY_STATUS):
        user = request.user
        setattr(request, POLICY_STATUS, policy.status_of(user) if isinstance(user, User) else policy.NOTHING)
    return cast("PolicyStatus", getattr(request, POLICY_STATUS))


class AccessMiddleware:
    """Runs ``CHECKS`` in order for signed-in users. The first check that returns a response decides."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on: the view is only known in ``process_view``."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], _args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Return the redirect of the first check that fails, or None."""
        if not request.user.is_authenticated:
            return None
        signed_in = cast("AuthenticatedHttpRequest", request)
        marks, organization_id = marks_of(view), kwargs.get("organization_id")
        answers = (check(signed_in, marks, organization_id) for check in CHECKS)
        return next((answer for answer in answers if answer is not None), None)


Check = Callable[[AuthenticatedHttpRequest, frozenset[Mark], UUID | None], HttpResponse | None]


def _ask_for_code(
    request: AuthenticatedHttpRequest, _marks: frozenset[Mark], _organization_id: UUID | None
) -> HttpResponse | None:
    """Redirect a session that has proven no factor to the OTP prompt if its user has MFA on (SR-33)."""
    user = request.user
    if not user.mfa_is_on or user.is_verified():
        return None
    try:
        next_path = request.get_full_path() if request.method == "GET" else ""
        pending_sign_in.begin(request, user, next_path=next_path, may_remember=False)
    except Refused as refused:  # the password was changed meanwhile
        messages.warning(request, refused.text)
        return redirect("accounts:login")
    return redirect("mfa:otp_prompt")


def _ask_for_new_factor(
    request: AuthenticatedHttpRequest, marks: frozenset[Mark], _organization_id: UUID | None
) -> HttpResponse | None:
    """Redirect a session of an assisted reset to the enrolment of a new factor (SR-28)."""
    by_reset = proofs.mode_of_session(request) == assisted_reset.MODE
    return redirect("mfa:activate") if by_reset and Mark.WORKS_DURING_ASSISTED_RESET not in marks else None


def _ask_for_recent_proof(
    request: AuthenticatedHttpRequest, marks: frozenset[Mark], _organization_id: UUID | None
) -> HttpResponse | None:
    """Redirect a sensitive change to the step-up (SR-22)."""
    checks_itself = Mark.PROVES_ITSELF in marks and not request.user.mfa_is_on
    if Mark.NEEDS_RECENT_PROOF in marks and not checks_itself and not proofs.has_recent_proof(request):
        return proofs.ask_for_proof(request)
    return None


def _ask_for_mfa(
    request: AuthenticatedHttpRequest, marks: frozenset[Mark], organization_id: UUID | None
) -> HttpResponse | None:
    """Redirect a member whom a policy blocks to the page that explains it; record whom a rehearsed one would (SR-41).

    Costs no query for a user whose modes meet every policy.
    """
    if Mark.WORKS_WHILE_BLOCKED in marks:
        return None
    status = policy_status_of(request)
    if _concerns(status.blocking, organization_id):
        return redirect("organizations:mfa_required")
    for organization in status.rehearsing:
        if _concerns([organization], organization_id):
            rehearsal.note(organization, request.user, Channel.BROWSER, origin_of(request))
    return None


def _ask_remembered_browser(
    request: AuthenticatedHttpRequest, marks: frozenset[Mark], organization_id: UUID | None
) -> HttpResponse | None:
    """Redirect a remembered browser to the step-up if an organization forbids remembering (SR-37)."""
    if Mark.WORKS_WHILE_BLOCKED in marks or proofs.mode_of_session(request) != remembered_browsers.MODE:
        return None
    if not _concerns(policy.forbidding_remembering(request.user), organization_id):
        return None
    messages.info(request, _("Your organization requires a one-time password in this session."))
    back = request.get_full_path() if request.method == "GET" else reverse("accounts:dashboard")
    return redirect(reverse("mfa:step_up", query={"next": back}))


CHECKS: tuple[Check, ...] = (
    _ask_for_code,
    _ask_for_new_factor,
    _ask_for_recent_proof,
    _ask_for_mfa,
    _ask_remembered_browser,
)


def _concerns(organizations: list[Organization], organization_id: UUID | None) -> bool:
    """Return whether a view is about one of ``organizations``, or about no organization in particular."""
    ids = {organization.pk for organization in organizations}
    return bool(ids) and (organization_id is None or organization_id in ids)

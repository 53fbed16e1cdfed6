"""Who may open a page, and what is asked of them first: the marks of views and the checks, in one order.

Deny by default: a view without a mark is for signed-in users who have proven what their account and their
organizations ask for. Django's ``LoginRequiredMiddleware`` does the first half, ``AccessMiddleware`` the second.
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
    """The request of a view that only signed-in users reach."""

    user: User


class Mark(StrEnum):
    """What differs from the default for one view."""

    PUBLIC = "works without a sign-in"
    NEEDS_RECENT_PROOF = "asks for a factor, or the password where MFA is off, unless proven moments ago (SR-22)"
    CHECKS_PASSWORD = "checks the password itself: where MFA is off, no proof is asked for before it"  # noqa: S105  (a sentence)
    WORKS_WHILE_BLOCKED = "works although an organization waits for this user's MFA (SR-41)"
    WORKS_DURING_ASSISTED_RESET = "leads an assisted reset to its new factor (SR-28)"


def marks_of(view: Callable[..., Any]) -> frozenset[Mark]:
    """Return the marks of a view."""
    return cast("frozenset[Mark]", getattr(view, MARKS, frozenset()))


def _marking(mark: Mark) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        setattr(view, MARKS, marks_of(view) | {mark})
        return view

    return decorate


needs_recent_proof = _marking(Mark.NEEDS_RECENT_PROOF)
checks_password = _marking(Mark.CHECKS_PASSWORD)
works_while_blocked = _marking(Mark.WORKS_WHILE_BLOCKED)
works_during_assisted_reset = _marking(Mark.WORKS_DURING_ASSISTED_RESET)


def public(view: View) -> View:
    """Mark a view as one that works without a sign-in."""
    return _marking(Mark.PUBLIC)(login_not_required(view))


def all_work_while_blocked(patterns: list[URLPattern]) -> list[URLPattern]:
    """Mark all views of an app with ``works_while_blocked``, once, where their addresses are."""
    for pattern in patterns:
        works_while_blocked(pattern.callback)
    return patterns


def all_public(patterns: Iterable[URLPattern | URLResolver]) -> None:
    """Mark all views of a package, which have an access check of their own, with ``public``."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            all_public(pattern.url_patterns)
        else:
            public(pattern.callback)
            works_while_blocked(pattern.callback)


def policy_status_of(request: HttpRequest) -> PolicyStatus:
    """Return what the organizations of the signed-in user say of their MFA. At most one query a request."""
    if not hasattr(request, POLICY_STATUS):
        user = request.user
        setattr(request, POLICY_STATUS, policy.status_of(user) if isinstance(user, User) else policy.NOTHING)
    return cast("PolicyStatus", getattr(request, POLICY_STATUS))


class AccessMiddleware:
    """Ask each check of ``CHECKS`` in order; the first that answers decides. For anonymous requests none is asked."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; the view is known only in ``process_view``."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], _args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Return the redirect of the first check that is not satisfied."""
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
    """Lead a session whose user has turned MFA on, and that has proven no factor, to the OTP prompt (SR-33)."""
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
    """Lead a session of an assisted reset to the enrolment of a new factor (SR-28)."""
    by_reset = proofs.mode_of_session(request) == assisted_reset.MODE
    return redirect("mfa:activate") if by_reset and Mark.WORKS_DURING_ASSISTED_RESET not in marks else None


def _ask_for_recent_proof(
    request: AuthenticatedHttpRequest, marks: frozenset[Mark], _organization_id: UUID | None
) -> HttpResponse | None:
    """Lead a sensitive change to the step-up (SR-22)."""
    asks_itself = Mark.CHECKS_PASSWORD in marks and not request.user.mfa_is_on
    if Mark.NEEDS_RECENT_PROOF in marks and not asks_itself and not proofs.has_recent_proof(request):
        return proofs.ask_for_proof(request)
    return None


def _ask_for_mfa(
    request: AuthenticatedHttpRequest, marks: frozenset[Mark], organization_id: UUID | None
) -> HttpResponse | None:
    """Lead a member whom a policy blocks to the page that explains it; note whom a rehearsed one would block (SR-41).

    Free of queries for a user whose modes meet every policy.
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
    """Ask a remembered browser for a code where an organization forbids remembering (SR-37)."""
    if Mark.WORKS_WHILE_BLOCKED in marks or proofs.mode_of_session(request) != remembered_browsers.MODE:
        return None
    if not _concerns(policy.forbidding_remembering(request.user), organization_id):
        return None
    messages.info(request, _("Your organization asks for a one-time password in this session."))
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
    """Return whether a view shows something of one of ``organizations``; a view of another one does not."""
    ids = {organization.pk for organization in organizations}
    return bool(ids) and (organization_id is None or organization_id in ids)

"""Access control of pages: the marks of views, and the checks in their order.

Access is denied by default. A view without a mark requires a sign-in and everything that the account and its
organizations require. ``SignInMiddleware`` checks the sign-in, ``AccessMiddleware`` the rest.

The list of public pages is in ``tests/test_access.py``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, reverse
from django.utils.translation import gettext as _

from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.web import pending_sign_in, proofs
from accounts.web.origin import origin_of
from accounts.web.redirection import page_of_form
from mfa import assisted_reset, remembered_browsers
from organizations import accepted_modes, membership, policy, rehearsal
from organizations.membership import Memberships
from organizations.models import Organization
from organizations.policy import PolicyStatus

View = TypeVar("View", bound=Callable[..., Any])
GetResponse = Callable[[HttpRequest], HttpResponse]
MARKS = "access_marks"  # of a view
POLICY_STATUS, MEMBERSHIPS = "policy_status", "memberships"  # of a request


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
    READS_NO_SESSION = "answers everyone alike who has its address: no session is read, so none is checked"


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
reads_no_session = _decorator(Mark.READS_NO_SESSION)


def public(view: View) -> View:
    """Mark a view as one that works without a sign-in."""
    return _decorator(Mark.PUBLIC)(login_not_required(view))


def all_work_while_blocked(patterns: list[URLPattern]) -> list[URLPattern]:
    """Mark the views of URL patterns with ``works_while_blocked``; return the patterns."""
    for pattern in patterns:
        works_while_blocked(pattern.callback)
    return patterns


def all_check_access_themselves(patterns: Iterable[URLPattern | URLResolver]) -> None:
    """Mark the views of a package that checks access itself with ``public`` and ``works_while_blocked``."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            all_check_access_themselves(pattern.url_patterns)
        else:
            public(pattern.callback)
            works_while_blocked(pattern.callback)


def policy_status_of(request: HttpRequest) -> PolicyStatus:
    """Return which policies the signed-in user does not meet. At most one query per request."""
    if not hasattr(request, POLICY_STATUS):
        user = request.user
        status = policy.NOTHING
        if isinstance(user, User):
            read = partial(memberships_of, request)
            status = policy.status_of(user, proved=proofs.proved_modes(request), read=read)
        setattr(request, POLICY_STATUS, status)
    return cast("PolicyStatus", getattr(request, POLICY_STATUS))


def memberships_of(request: HttpRequest) -> Memberships:
    """Return the memberships of the signed-in user, read once for the request."""
    if not hasattr(request, MEMBERSHIPS):
        user = request.user
        found = membership.first_of(user) if isinstance(user, User) else Memberships([], are_all=True)
        setattr(request, MEMBERSHIPS, found)
    return cast("Memberships", getattr(request, MEMBERSHIPS))


class SignInMiddleware(LoginRequiredMiddleware):
    """Redirects to the sign-in page unless the view is public, and from there to the page where the user was."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        """Return the redirect, or None. Django asks who the user is before it looks whether the view is public."""
        if Mark.READS_NO_SESSION in marks_of(view_func):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: Callable[..., Any]) -> HttpResponseRedirect:
        """Redirect to the sign-in page. What a form is sent to cannot always be opened, but its page can."""
        if request.method == "POST":
            return redirect_to_login(page_of_form(request))
        return super().handle_no_permission(request, view_func)


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
        marks = marks_of(view)
        if Mark.READS_NO_SESSION in marks or not request.user.is_authenticated:
            return None
        visit = Visit(cast("AuthenticatedHttpRequest", request), marks, kwargs.get("organization_id"))
        responses = (check(visit) for check in CHECKS)
        return next((response for response in responses if response is not None), None)


@dataclass(frozen=True)
class Visit:
    """A signed-in user's request for a view. ``organization_id`` is the organization that the view is about, if any."""

    request: AuthenticatedHttpRequest
    marks: frozenset[Mark]
    organization_id: UUID | None

    def concerns(self, organizations: list[Organization]) -> bool:
        """Return whether the view is about one of ``organizations``, or about no organization in particular."""
        ids = {organization.pk for organization in organizations}
        return bool(ids) and (self.organization_id is None or self.organization_id in ids)


def _ask_for_code(visit: Visit) -> HttpResponse | None:
    """Redirect a session that has proven no factor to the OTP prompt if its user has MFA on (SR-33)."""
    user = visit.request.user
    if not user.mfa_is_on or user.is_verified():
        return None
    try:
        next_path = visit.request.get_full_path() if visit.request.method == "GET" else ""
        pending_sign_in.begin(visit.request, user, next_path=next_path, may_remember=False)
    except Refused as refused:  # the password was changed meanwhile
        messages.warning(visit.request, refused.text)
        return redirect("accounts:login")
    return redirect("mfa:otp_prompt")


def _ask_for_new_factor(visit: Visit) -> HttpResponse | None:
    """Redirect a session of an assisted reset to the enrolment of a new factor (SR-28)."""
    by_reset = proofs.mode_of_session(visit.request) == assisted_reset.MODE
    return redirect("mfa:activate") if by_reset and Mark.WORKS_DURING_ASSISTED_RESET not in visit.marks else None


def _ask_for_accepted_mode(visit: Visit) -> HttpResponse | None:
    """Redirect to a step-up if an organization accepts only modes that this session has not proved (SR-60).

    The user has an accepted mode, so only pages of this organization ask. It comes before the check of a recent proof,
    which it replaces.
    """
    if visit.organization_id is None or Mark.WORKS_WHILE_BLOCKED in visit.marks:
        return None
    asking = policy_status_of(visit.request).asking
    organization = next((one for one in asking if one.pk == visit.organization_id), None)
    if organization is None:
        return None
    values = {"name": organization.name, "modes": accepted_modes.in_words(organization.accepted_modes)}
    messages.info(visit.request, _("%(name)s requires %(modes)s. Confirm with it to continue.") % values)
    # Pages that need a recent proof can be opened by GET and show what was typed again.
    is_kept = visit.request.method == "GET" or Mark.NEEDS_RECENT_PROOF in visit.marks
    back = visit.request.get_full_path() if is_kept else organization.get_absolute_url()
    return proofs.ask_for_proof(visit.request, back=back, accepted=organization.accepted_modes)


def _ask_for_recent_proof(visit: Visit) -> HttpResponse | None:
    """Redirect a sensitive change to the step-up (SR-22)."""
    checks_itself = Mark.PROVES_ITSELF in visit.marks and not visit.request.user.mfa_is_on
    if Mark.NEEDS_RECENT_PROOF in visit.marks and not checks_itself and not proofs.has_recent_proof(visit.request):
        return proofs.ask_for_proof(visit.request)
    return None


def _ask_for_mfa(visit: Visit) -> HttpResponse | None:
    """Redirect a member whom a policy blocks to the page that explains it; record whom a rehearsed one would (SR-41).

    Costs no query for a user whose modes meet every policy.
    """
    if Mark.WORKS_WHILE_BLOCKED in visit.marks:
        return None
    status = policy_status_of(visit.request)
    if visit.concerns(status.blocking):
        return redirect("organizations:mfa_required")
    for organization in status.rehearsing:
        if visit.concerns([organization]):
            rehearsal.note(organization, visit.request.user, Channel.BROWSER, origin_of(visit.request))
    return None


def _ask_for_code_in_remembered_browser(visit: Visit) -> HttpResponse | None:
    """Redirect a remembered browser to the step-up if an organization forbids remembering (SR-37)."""
    if Mark.WORKS_WHILE_BLOCKED in visit.marks or proofs.mode_of_session(visit.request) != remembered_browsers.MODE:
        return None
    if not visit.concerns(policy.forbidding_remembering(visit.request.user)):
        return None
    messages.info(visit.request, _("Your organization requires a one-time password in this session."))
    back = visit.request.get_full_path() if visit.request.method == "GET" else reverse("accounts:dashboard")
    return redirect(reverse("mfa:step_up", query={"next": back}))


CHECKS: tuple[Callable[[Visit], HttpResponse | None], ...] = (
    _ask_for_code,
    _ask_for_new_factor,
    _ask_for_accepted_mode,
    _ask_for_recent_proof,
    _ask_for_mfa,
    _ask_for_code_in_remembered_browser,
)

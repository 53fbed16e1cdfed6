"""Pages for sessions, SSH keys and the security log."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import security_log, sessions, ssh_keys
from accounts.models import Channel, SecurityEvent
from accounts.session_store import SIGNED_IN
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.confirmation import confirm
from accounts.web.csv_export import csv_file
from accounts.web.origin import origin_of
from accounts.web.session import keep_session
from mfa import modes, remembered_browsers

SESSIONS_PER_PAGE = 25
EVENTS_PER_PAGE = 50
MAX_REMEMBERED_SHOWN = 50


@never_cache
@require_safe
def sessions_page(request: AuthenticatedHttpRequest) -> HttpResponse:
    """List the sessions of browsers and command lines, the remembered browsers and the SSH keys."""
    user = request.user
    page = Paginator(sessions.of_user(user), SESSIONS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "has_others": page.paginator.count > 1,
        "has_command_line": any(session["channel"] == Channel.CLI for session in page),
        "this_session": request.session.get(SIGNED_IN, {}).get("public_id"),
        "remembered": remembered_browsers.of_user(user)[:MAX_REMEMBERED_SHOWN] if user.mfa_is_on else [],
        "keys": ssh_keys.of_user(user),
        "add_key_command": "datica keys add NAME FILE",
    }
    return render(request, "accounts/sessions.html", context)


def _events(request: AuthenticatedHttpRequest) -> tuple[str, QuerySet[SecurityEvent]]:
    """Return the kind in the query, blank for all, and the user's events of that kind."""
    kind = request.GET.get("kind", "")
    kind = kind if kind in security_log.Kind.values else ""
    return kind, security_log.of_user(request.user, kind=kind)


@dataclass(frozen=True)
class EventRow:
    """A security event as the page and the file show it."""

    at: datetime
    what: str
    mode: str
    ip_address: str
    browser: str
    actor: str  # staff or an operator who did it; blank for the user
    reason: str


def _row_of(event: SecurityEvent) -> EventRow:
    return EventRow(
        at=event.at,
        what=security_log.kind_in_words(event.kind),
        mode=f"{modes.label(event.mode)} {event.factor_name}".rstrip(),
        ip_address=event.ip_address or "–",
        browser=security_log.agent_in_words(event.agent),
        actor=event.actor,
        reason=event.reason,
    )


@never_cache
@require_safe
def security_log_page(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Show the security events of the account."""
    kind, events = _events(request)
    page = Paginator(events, EVENTS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [_row_of(event) for event in page],
        "kind": kind,
        "kinds": sorted(security_log.Kind.choices, key=lambda choice: str(choice[1])),
    }
    return render(request, "accounts/security_log.html", context)


@never_cache
@require_safe
def security_log_csv(request: AuthenticatedHttpRequest) -> StreamingHttpResponse:
    """Return the security events as a CSV file."""
    _kind, events = _events(request)
    head = [_("Time (UTC)"), _("What"), _("Mode"), _("IP address"), _("Browser"), _("By"), _("Reason")]
    rows = (
        [row.at.isoformat(timespec="seconds"), row.what, row.mode, row.ip_address, row.browser, row.actor, row.reason]
        for row in map(_row_of, events.iterator(chunk_size=1000))
    )
    return csv_file("security-log", head, rows)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def end_session(request: AuthenticatedHttpRequest, public_id: UUID) -> HttpResponse:
    """Sign out one session: at once by POST; a GET, after a step-up, asks first."""
    if request.method == "POST":
        if sessions.end(request.user, public_id, origin_of(request)):
            messages.success(request, _("That session is signed out."))
        else:
            messages.warning(request, _("That session had already ended."))
        return redirect("accounts:sessions")
    return confirm(
        request,
        title=_("Sign out this session?"),
        icon="door",
        text=[_("That browser or command line has to sign in again.")],
        button=_("Sign out"),
        button_class="danger",
        cancel_url=reverse("accounts:sessions"),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def end_other_sessions(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Sign out all other sessions."""
    if request.method == "POST":
        user = sessions.end_all_others(request.user, origin_of(request), keep=request.session.session_key)
        keep_session(request, user)
        messages.success(request, _("All other sessions are signed out."))
        return redirect("accounts:sessions")
    return confirm(
        request,
        title=_("Sign out all other sessions?"),
        icon="door",
        text=[_("Every other browser and command line has to sign in again. You stay signed in here.")],
        button=_("Sign out all others"),
        button_class="danger",
        cancel_url=reverse("accounts:sessions"),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def remove_key(request: AuthenticatedHttpRequest, key_id: UUID) -> HttpResponse:
    """Remove an SSH key: at once by POST; a GET, after a step-up, asks first."""
    key = get_object_or_404(ssh_keys.of_user(request.user), pk=key_id)
    if request.method == "POST":
        ssh_keys.remove(request.user, key.name, origin_of(request))
        messages.success(request, _("The key %(name)s is removed.") % {"name": key.name})
        return redirect("accounts:sessions")
    return confirm(
        request,
        title=_("Remove the key %(name)s?") % {"name": key.name},
        icon="key",
        text=[_("You can no longer sign in with this key at the command line.")],
        button=_("Remove"),
        button_class="danger",
        cancel_url=reverse("accounts:sessions"),
    )

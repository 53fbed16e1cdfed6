"""Pages of an organization's security log, for owners and admins."""

from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.security_log import agent_in_words
from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.csv_export import csv_file
from organizations import event_list
from organizations.models import MANAGERS
from organizations.web.forms import LogFilterForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of

EVENTS_PER_PAGE = 50


@never_cache
@require_safe
def log(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show the events of the organization, all or those that a filter selects."""
    membership = membership_of(request, organization_id, roles=MANAGERS)
    form = LogFilterForm(request.GET, label_suffix="")
    chosen = form.chosen
    after, before = (request.GET.get(name, "")[:64] for name in ("after", "before"))
    page = event_list.page(membership.organization, chosen, after=after, before=before, limit=EVENTS_PER_PAGE)
    context = {**page_of(membership, "log"), "page": page, "form": form, "is_filtered": bool(chosen)}
    return render(request, "organizations/log.html", context)


@never_cache
@require_safe
def log_csv(request: AuthenticatedHttpRequest, organization_id: UUID) -> StreamingHttpResponse:
    """Stream the security log as a CSV file: all events, or those that a filter selects."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    head = [_("Time (UTC)"), _("What"), _("Whom or what"), _("By"), _("IP address"), _("Browser")]
    rows = event_list.all_of(organization, LogFilterForm(request.GET).chosen)
    cells = (
        [
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            row.what,
            row.subject_in_words,
            row.who,
            row.ip_address or "",
            agent_in_words(row.agent),
        ]
        for row in rows
    )
    return csv_file("security-log", head, cells)

"""How many members meet the policy, over time, and evidence of it."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.refusals import Refused
from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.origin import origin_of
from organizations import compliance, member_counts, member_list, policy_impact, reminders
from organizations.models import MANAGERS
from organizations.web.memberships import OWNERS, membership_of
from organizations.web.wording import member_rows

MAX_CHANGES_SHOWN = 500

PER_PAGE = 25


@never_cache
@require_safe
def exemptions(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """List the service accounts that the policy spares, why and until when."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    page = member_list.page(organization, state="exempt", after=request.GET.get("after", "")[:254], limit=PER_PAGE)
    context = {"organization": organization, "page": page, "rows": member_rows(organization, page.rows)}
    return render(request, "organizations/exemptions.html", context)


@never_cache
@require_safe
def progress(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show how many members meet the policy, over time, and who is left."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    missing = policy_impact.missing(manager.organization)
    days = compliance.days(manager.organization, missing.counts)
    last, again_at = reminders.recently(manager.organization)
    context = {
        "organization": manager.organization,
        "is_owner": manager.role in OWNERS,
        "impact": missing,
        "chart": compliance.chart(days),
        "days": days[::-1],
        "last_reminder": last,
        "remind_at": again_at,
    }
    return render(request, "organizations/compliance.html", context)


@require_POST
def remind(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Remind everybody who is left, once a day at most."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    try:
        reminders.start(owner, origin_of(request))
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("The reminders are on their way; they do not delay one-time passwords."))
    return redirect("organizations:compliance", organization_id)


@never_cache
@require_safe
def evidence(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show, to be printed, since when MFA was required and whom it spared."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    changes = list(compliance.changes(organization)[: MAX_CHANGES_SHOWN + 1])
    exemptions = compliance.exemptions(organization)
    context = {
        "organization": organization,
        "at": timezone.now(),
        "periods": [(period, period.within(exemptions)) for period in compliance.periods(organization)],
        "now_exempt": [one for one in exemptions if one.until > timezone.now()],
        "counts": member_counts.of(organization),
        "changes": changes[:MAX_CHANGES_SHOWN],
        "more": len(changes) > MAX_CHANGES_SHOWN,
    }
    return render(request, "organizations/evidence.html", context)

"""Pages about compliance with the policy: progress, exemptions, reminders and evidence."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.web.access import AuthenticatedHttpRequest
from organizations import compliance, member_counts, member_list, policy_impact, reminders
from organizations.models import MANAGERS, OWNERS
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of
from organizations.web.wording import last_reminder_in_words, member_rows

MAX_CHANGES_SHOWN = 500
MAX_EXEMPTIONS_SHOWN = 500
PER_PAGE = 25


@never_cache
@require_safe
def exemptions(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """List the exempt service accounts with reason and end date."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    organization = manager.organization
    after, before = (request.GET.get(name, "")[:254] for name in ("after", "before"))
    page = member_list.page(organization, state="exempt", after=after, before=before, limit=PER_PAGE)
    context = {**page_of(manager, "exemptions"), "page": page, "rows": member_rows(organization, page.rows)}
    return render(request, "organizations/exemptions.html", context)


@never_cache
@require_safe
def progress(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show how many members meet the policy, over time, and who does not yet."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    missing = policy_impact.missing(manager.organization)
    days = compliance.days(manager.organization, missing.counts)
    reminded = reminders.history_of(manager.organization)
    context = {
        **page_of(manager, "compliance"),
        "is_owner": manager.role in OWNERS,
        "impact": missing,
        "chart": compliance.chart(days),
        "days": days[::-1],
        "last_reminder": reminded.last,
        "last_mails": last_reminder_in_words(reminded.last),
        "remind_at": reminded.again_at,
    }
    return render(request, "organizations/compliance.html", context)


@never_cache
@require_safe
def evidence(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show a printable page: when MFA was required, who was exempt, and what was changed."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    organization = manager.organization
    changes = list(compliance.changes(organization)[: MAX_CHANGES_SHOWN + 1])
    exemptions = compliance.exemptions(organization)
    now_exempt = sorted((one for one in exemptions if one.until > timezone.now()), key=lambda one: one.what.lower())
    context = {
        **page_of(manager, "compliance", is_below=True),
        "at": timezone.now(),
        "periods": [(period, *_first(period.within(exemptions))) for period in compliance.periods(organization)],
        "now_exempt": _first(now_exempt),
        "counts": member_counts.of(organization),
        "changes": changes[:MAX_CHANGES_SHOWN],
        "more": len(changes) > MAX_CHANGES_SHOWN,
    }
    return render(request, "organizations/evidence.html", context)


def _first(exemptions: list[compliance.Exemption]) -> tuple[list[compliance.Exemption], int]:
    """Return the exemptions that the sheet shows, and the number of the others."""
    return exemptions[:MAX_EXEMPTIONS_SHOWN], max(0, len(exemptions) - MAX_EXEMPTIONS_SHOWN)

"""Pages that explain to the signed-in user what their organizations require."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.web.access import AuthenticatedHttpRequest, policy_status_of, works_while_blocked
from organizations import accepted_modes, policy
from organizations import membership as memberships
from organizations.models import Membership, Organization

PER_PAGE = 25


@dataclass(frozen=True)
class BlockingRow:
    """An organization whose policy blocks the user."""

    name: str
    mfa_required_at: datetime | None
    accepted_modes: str
    required_by: str  # email of the owner who required MFA; blank if unknown
    leave_url: str


@never_cache
@require_safe
@works_while_blocked
def mfa_required(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Explain the block: which organization, since when, what to do, what still works."""
    blocking = policy_status_of(request).blocking
    if not blocking:
        return redirect("accounts:dashboard")
    who = policy.who_required(blocking)
    rows = [
        BlockingRow(
            name=organization.name,
            mfa_required_at=organization.mfa_required_at,
            accepted_modes=organization.accepted_modes_label if organization.accepted_modes else "",
            required_by=who.get(organization.pk, ""),
            leave_url=reverse("organizations:leave", args=[organization.pk]),
        )
        for organization in blocking
    ]
    mine = memberships.of_user(request.user).exclude(organization__in=blocking)[:PER_PAGE]
    context = {
        "blocking": rows,
        "others": [membership.organization for membership in mine],
        "has_another": request.user.mfa_is_on,
        "mode": accepted_modes.strictest([organization.accepted_modes for organization in blocking]),
    }
    return render(request, "organizations/mfa_required.html", context)


@never_cache
@require_safe
@works_while_blocked
def asked_of_me(request: AuthenticatedHttpRequest) -> HttpResponse:
    """List what each organization of the user requires, and the combined requirements."""
    user = request.user
    page = Paginator(memberships.of_user(user), PER_PAGE).get_page(request.GET.get("page"))
    for membership in page:
        membership.user = user
    combined, asking = policy.combined(user), policy_status_of(request).asking
    context = {
        "page": page,
        "rows": [_rules_of(row, asking) for row in page],
        "combined": combined,
        "accepted_modes": accepted_modes.in_words(combined.accepted_modes) if combined.accepted_modes else "",
    }
    return render(request, "organizations/asked_of_me.html", context)


@dataclass(frozen=True)
class RuleRow:
    """What one organization requires of the user."""

    name: str
    url: str
    required_at: datetime | None
    is_announced: bool
    accepted_modes: str
    remembering_forbidden: bool
    exempt_until: datetime | None
    is_met: bool
    asks_for: str  # the accepted modes, if this session still has to prove one
    activation: str


def _rules_of(row: Membership, asking: list[Organization]) -> RuleRow:
    organization = row.organization
    return RuleRow(
        name=organization.name,
        url=organization.get_absolute_url(),
        required_at=organization.mfa_required_at,
        is_announced=organization.mfa_announced,
        accepted_modes=accepted_modes.label_of(organization.accepted_modes) if organization.mfa_required_at else "",
        remembering_forbidden=organization.remembering_forbidden,
        exempt_until=row.exempt_until if row.is_exempt else None,
        is_met=policy.is_met(row),
        asks_for=accepted_modes.in_words(organization.accepted_modes) if organization in asking else "",
        activation=organization.activation_path,
    )

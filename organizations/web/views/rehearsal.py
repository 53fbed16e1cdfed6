"""Page of the rehearsal: whom a policy would block before it is in force."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.refusals import Refused
from accounts.web import kept_forms, proofs
from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.origin import origin_of
from organizations import member_counts, policy_changes, rehearsal
from organizations.models import MANAGERS, OWNERS, Membership, Organization
from organizations.web.forms import RehearsalForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of
from organizations.web.wording import show_refusal

PER_PAGE = 25


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def rehearse(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show whom the policy would have blocked, when and from where. Owners start and end a rehearsal here."""
    is_post = request.method == "POST"
    manager = membership_of(request, organization_id, roles=OWNERS if is_post else MANAGERS)
    if is_post:
        return _rehearse(request, manager) if proofs.has_recent_proof(request) else proofs.ask_for_proof(request)
    organization = manager.organization
    page = Paginator(rehearsal.hits(organization), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        **page_of(manager, "rehearsal"),
        "is_owner": manager.role in OWNERS,
        "form": RehearsalForm(initial=kept_forms.kept_form(request)),
        "page": page,
        "counts": member_counts.of(organization),
        "ends_at_start": _ends_at_start(organization),
    }
    return render(request, "organizations/rehearsal.html", context)


def _ends_at_start(organization: Organization) -> bool:
    """Return whether the start date of the policy ends the rehearsal before its own end."""
    until, at = organization.rehearsal_until, organization.mfa_required_at
    return until is not None and at is not None and at < until


def _rehearse(request: HttpRequest, owner: Membership) -> HttpResponse:
    form = RehearsalForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose the number of days."))
        return redirect("organizations:rehearsal", owner.organization_id)
    try:
        policy_changes.rehearse(owner, origin_of(request), days=form.cleaned_data["days"])
    except Refused as refused:
        return show_refusal(request, owner.organization, refused)
    begun = _("The rehearsal has started. It blocks no one.")
    messages.success(request, begun if form.cleaned_data["days"] else _("The rehearsal has ended."))
    return redirect("organizations:rehearsal", owner.organization_id)

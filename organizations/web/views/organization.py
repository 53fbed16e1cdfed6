"""Pages of organizations. A user who is not a member gets 404, a member without the role 403 (SR-39)."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.refusals import Refused
from accounts.web import proofs
from accounts.web.access import AuthenticatedHttpRequest, works_while_blocked
from accounts.web.confirmation import confirm
from accounts.web.form_pages import bound
from accounts.web.origin import origin_of
from organizations import creation, member_list, policy, policy_impact
from organizations import membership as memberships
from organizations.models import EVERYBODY, MANAGERS, OWNERS, Membership, Role
from organizations.web.context import MENU_LENGTH, as_row
from organizations.web.forms import OrganizationForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of
from organizations.web.state_line import state_of
from organizations.web.wording import MemberRow, consequences, grouped, member_rows, signed_in_in_words

PER_PAGE = 25
MAX_OWNERS_NAMED = 5


@require_safe
@works_while_blocked
def list_mine(request: AuthenticatedHttpRequest) -> HttpResponse:
    """List the organizations of the signed-in user."""
    q = request.GET.get("q", "").strip()[:128]
    rows = memberships.of_user(request.user, search=q)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "organizations": [as_row(membership) for membership in page],
        "q": q,
        "may_create": creation.may_create(request.user),
        "may_search": bool(q) or page.paginator.count > MENU_LENGTH,
    }
    return render(request, "organizations/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def organization(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show an organization. Owners rename it here."""
    is_post = request.method == "POST"
    membership = membership_of(request, organization_id, roles=OWNERS if is_post else EVERYBODY)
    is_owner = membership.role == Role.OWNER
    form = bound(request, OrganizationForm, initial={"name": membership.organization.name})
    if form.is_valid():
        memberships.rename(membership, form.cleaned_data["name"], origin_of(request))
        messages.success(request, _("Organization successfully updated!"))
        return redirect(membership.organization)
    impact = policy_impact.of(membership.organization) if membership.role in MANAGERS else None
    context = {
        **page_of(membership, "organization"),
        "is_owner": is_owner,
        "is_manager": membership.role in MANAGERS,
        "form": form if is_owner else None,
        "impact": impact,
        "state": state_of(membership, impact) if impact else None,
        "consequences": consequences(membership.organization, impact) if impact else [],
        "signed_in": signed_in_in_words(impact) if impact and impact.counts.missing else "",
        "meets_it": policy.is_met(membership),
        "activation": membership.organization.activation_path_and_back,
        "mine": None if is_owner else _as_owners_see(membership),
        "role_label": membership.get_role_display(),
    }
    return render(request, "organizations/organization.html", context, status=400 if form.errors else 200)


def _as_owners_see(membership: Membership) -> MemberRow | None:
    found = member_list.find(membership.organization, membership.user_id)
    return member_rows(membership.organization, [found])[0] if found else None


@require_http_methods(["GET", "HEAD", "POST"])
@works_while_blocked
def leave(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Leave an organization, even if its policy blocks the user."""
    membership = membership_of(request, organization_id)
    name = membership.organization.name
    if membership.role in MANAGERS and not proofs.has_recent_proof(request):
        return proofs.ask_for_proof(request)
    if request.method == "POST":
        try:
            memberships.leave(membership, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(request, _("You have left %(name)s.") % {"name": name})
        return redirect("accounts:dashboard")
    text = [_("You lose access to everything in this organization. To come back, you need a new invitation.")]
    if membership.role == Role.OWNER:
        if memberships.owned_alone([membership]):
            return _cannot_leave(request, membership)
        text.append(_("The owners who stay: %(names)s.") % {"names": _others_in_words(membership)})
    return confirm(
        request,
        title=_("Leave %(name)s?") % {"name": name},
        icon="users",
        text=text,
        button=_("Leave"),
        button_class="danger",
        cancel_url=reverse("accounts:dashboard"),
    )


def _cannot_leave(request: AuthenticatedHttpRequest, owner: Membership) -> HttpResponse:
    name = {"name": owner.organization.name}
    return confirm(
        request,
        title=_("You cannot leave %(name)s yet") % name,
        icon="users",
        text=[
            _("No other owner of %(name)s can sign in and meets its policy. Make another member an owner first.") % name
        ],
        button=_("Choose a member"),
        method="get",
        action_url=reverse("organizations:members", args=[owner.organization_id]),
        cancel_url=owner.organization.get_absolute_url(),
    )


def _others_in_words(owner: Membership) -> str:
    """Return the emails of the other owners, the first of them."""
    emails = [user.email for user in memberships.owners_of(owner.organization) if user.pk != owner.user_id]
    more = len(emails) - MAX_OWNERS_NAMED
    rest = " " + _("and %(n)s more") % {"n": grouped(more)} if more > 0 else ""
    return ", ".join(emails[:MAX_OWNERS_NAMED]) + rest

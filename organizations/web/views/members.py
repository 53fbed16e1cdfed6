"""Pages of members, for owners and admins."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.refusals import Refused
from accounts.web import kept_forms, proofs
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.csv_export import csv_file
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from mfa import assisted_reset as mfa_reset
from mfa import factors, modes
from organizations import assisted_reset, invitations, member_counts, member_list, policy_changes
from organizations import membership as memberships
from organizations.models import MANAGERS, OWNERS, Membership, Organization, Role
from organizations.web.forms import ExemptionForm, InviteForm, ReasonForm, RoleForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import confirm_below, page_of
from organizations.web.wording import grouped, member_rows, state_in_words

PER_PAGE = 25
MAX_INVITATIONS_SHOWN = 5
LIST_FIELDS = ("mfa", "q", "sort", "after", "before")  # of a link to a member, so that it leads back to the same list
MAX_COUNTED = 10_000
SORT_LABELS = [
    ("email", gettext_lazy("email, A to Z")),
    ("-email", gettext_lazy("email, Z to A")),
    ("newest", gettext_lazy("newest members first")),
    ("oldest", gettext_lazy("oldest members first")),
]


@never_cache
@require_safe
def members(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """List the members with their roles and modes, and the open invitations."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    organization = manager.organization
    state, q = request.GET.get("mfa", "all"), request.GET.get("q", "")[:254]
    after, before = (request.GET.get(name, "")[:254] for name in ("after", "before"))
    sort = request.GET.get("sort", "email")
    page = member_list.page(organization, state=state, search=q, sort=sort, after=after, before=before, limit=PER_PAGE)
    counts = member_counts.of(organization)
    states = [
        (name, state_in_words(value), counts.by_state.get(value, 0)) for name, value in member_list.states().items()
    ]
    missing = _("does not meet the policy") if organization.mfa_required_at else _("would be blocked")
    total = sum(counts.by_state.values())
    pending = list(invitations.pending(organization)[: MAX_INVITATIONS_SHOWN + 1])
    context = {
        **page_of(manager, "members"),
        "found": _found_in_words(organization, counts, state=state, search=q.strip()),
        "rows": member_rows(organization, page.rows),
        "page": page,
        "is_owner": manager.role in OWNERS,
        "max_chosen": member_list.MAX_CHOSEN,
        "q": q,
        "sort": sort,
        "sorts": SORT_LABELS,
        "state": state,
        "states": [("missing", missing, counts.missing), *states],
        "more_states": [("exempt", _("exempt")), *Role.choices],
        "list_query": _list_query(request),
        "total": total,
        "invitations": pending[:MAX_INVITATIONS_SHOWN],
        "more_invitations": len(pending) > MAX_INVITATIONS_SHOWN,
        "now": timezone.now(),
        "invite_form": InviteForm(at_most=Role(manager.role)),
    }
    return render(request, "organizations/members.html", context)


def _found_in_words(organization: Organization, counts: member_counts.Counts, *, state: str, search: str) -> str:
    """Return how many members match; blank if all do. One bounded query, none where the counters know it."""
    total, known = sum(counts.by_state.values()), {"missing": counts.missing}
    known |= {name: counts.by_state.get(value, 0) for name, value in member_list.states().items()}
    if not search and state not in {*known, "exempt", *Role.values}:
        return ""
    if not search and state in known:
        number = known[state]
    else:
        number = member_list.matching(organization, state=state, search=search)[: MAX_COUNTED + 1].count()
    values = {"n": grouped(min(number, MAX_COUNTED)), "members": grouped(total)}
    if number > MAX_COUNTED and (search or state not in known):
        return _("More than %(n)s of %(members)s members match.") % values
    values["n"] = grouped(number)
    text = ngettext("%(n)s of %(members)s members matches.", "%(n)s of %(members)s members match.", number)
    return text % values


@never_cache
@require_safe
def members_csv(request: AuthenticatedHttpRequest, organization_id: UUID) -> StreamingHttpResponse:
    """Stream the members and their modes as a CSV file: all, or those whom the list was narrowed down to."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    head = [_("Email"), _("Name"), _("Role"), _("Modes"), _("Preferred"), _("Meets the policy"), _("Exempt until"),
            _("Last verified"), _("Last sign-in"), _("Joined"), _("Mail does not arrive"),
            _("MFA at least since")]  # fmt: skip
    state, search = request.GET.get("mfa", "all"), request.GET.get("q", "")[:254]
    batches = member_list.in_batches(organization, state=state, search=search)
    return csv_file("members", head, _cells(organization, batches))


def _cells(organization: Organization, batches: Iterable[list[Membership]]) -> Iterator[list[str]]:
    for batch in batches:
        since = factors.oldest_of(row.user_id for row in batch)
        for row, shown in zip(batch, member_rows(organization, batch), strict=True):
            meets = _("yes") if shown.meets else _("no")
            cells = [row.user.email, row.user.name, row.role, row.modes or _("off"), row.user.preferred_mode, meets]
            times = [row.exempt_until, shown.verified, row.user.last_login, row.created_at]
            moments = map(_in_iso, times)
            yield [*cells, *moments, shown.mailbox_problem, _in_iso(since.get(row.user_id))]


def _in_iso(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""


def _target(manager: Membership, user_id: UUID) -> Membership:
    found = member_list.find(manager.organization, user_id)
    if found is None:
        raise Http404
    return found


@never_cache
@require_safe
def member(request: AuthenticatedHttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Show one member, with the forms that change their membership."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    target = _target(manager, user_id)
    mine, theirs = Role(manager.role), Role(target.role)
    context = {
        **page_of(manager, "members", is_below=True),
        "row": member_rows(manager.organization, [target])[0],
        "list_query": _list_query(request),
        **_reset_of(manager, target),
        "is_me": target.user_id == manager.user_id,
        "is_owner": mine == Role.OWNER,
        "may_change": theirs.rank <= mine.rank,
        "may_be_exempt": theirs not in MANAGERS,
        "may_hand_over": theirs != Role.OWNER,
        "role_form": RoleForm(at_most=mine, initial={"role": theirs, **_kept(request, "organizations:set_role")}),
        "exemption_form": ExemptionForm(initial=_kept(request, "organizations:exempt")),
    }
    return render(request, "organizations/member.html", context)


def _reset_of(manager: Membership, target: Membership) -> dict[str, object]:
    """Return what owners see of the assisted reset of a member: the open one, or whether one can be started."""
    if manager.role not in OWNERS or target.user_id == manager.user_id:
        return {}
    reset = mfa_reset.open_of(target.user)
    return {
        "reset": reset,
        "may_cancel_reset": reset is not None and assisted_reset.is_ours(manager.organization, reset),
        "may_reset": reset is None and mfa_reset.is_possible(target.user.modes),
        "gets_codes_by_email": modes.any_mailed(target.user.modes),
    }


def _list_query(request: HttpRequest) -> str:
    """Return the query of the list from which the user came to a member, with the question mark; or nothing."""
    query = {name: text[:254] for name in LIST_FIELDS if (text := request.GET.get(name, ""))}
    return f"?{urlencode(query)}" if query else ""


def _member_url(request: HttpRequest, organization_id: UUID, user_id: UUID) -> str:
    return reverse("organizations:member", args=[organization_id, user_id]) + _list_query(request)


def _kept(request: HttpRequest, name: str) -> dict[str, str]:
    """Return what the user typed into a form of this page before a proof was asked for."""
    match = request.resolver_match
    return kept_forms.kept_form(request, reverse(name, kwargs=match.kwargs)) if match else {}


def _back(request: HttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    return redirect(_member_url(request, organization_id, user_id))


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def set_role(request: AuthenticatedHttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Change a member's role."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    if request.method != "POST":  # back from a proof
        return _back(request, organization_id, user_id)
    form = RoleForm(request.POST, at_most=Role(manager.role))
    if not form.is_valid():
        messages.error(request, memberships.RoleMissing.message)
        return _back(request, organization_id, user_id)
    role = Role(form.cleaned_data["role"])
    if role == Role.OWNER and "confirmed" not in request.POST:
        target = _target(manager, user_id)
        if target.role != Role.OWNER:
            return _confirm_owner(request, manager, target)
    try:
        memberships.set_role(manager, user_id, role, origin_of(request))
    except memberships.NotAMember:
        raise Http404 from None
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("The role is changed."))
        if manager.user_id == user_id:
            return redirect(manager.organization)
    return _back(request, organization_id, user_id)


def _confirm_owner(request: HttpRequest, owner: Membership, target: Membership) -> HttpResponse:
    """Ask for confirmation of a new owner, and warn of one who does not have MFA."""
    email = {"email": target.user.email, "name": owner.organization.name}
    text = [_("Owners of %(name)s change its rules, name other owners, and can remove every member, you too.") % email]
    if not owner.organization.is_met_by(target.user.modes):
        text.append(_without_mfa_in_words(target))
    return confirm_below(
        request,
        owner,
        "members",
        icon="users",
        title=_("Make %(email)s an owner?") % email,
        text=text,
        button=_("Make owner"),
        button_class="danger",
        hidden={"role": Role.OWNER, "confirmed": "yes"},
        cancel_url=_member_url(request, owner.organization_id, target.user_id),
    )


def _without_mfa_in_words(target: Membership) -> str:
    email = {"email": target.user.email}
    if target.user.modes:
        return _("Careful: %(email)s has no mode that the policy accepts.") % email
    return _("Careful: %(email)s has no MFA. A stolen password alone would open the organization to others.") % email


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def hand_over(request: AuthenticatedHttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Make another member an owner, and the present owner an admin."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    target = _target(owner, user_id)
    if request.method == "POST":
        try:
            memberships.hand_over(owner, user_id, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(
                request, _("%(email)s is now an owner, and you are an admin.") % {"email": target.user.email}
            )
        return redirect(owner.organization)
    lines = [
        _("%(email)s becomes an owner and you become an admin. Only an owner can make you an owner again.")
        % {"email": target.user.email}
    ]
    if not owner.organization.is_met_by(target.user.modes):
        lines.append(_without_mfa_in_words(target))
    return confirm_below(
        request,
        owner,
        "members",
        icon="users",
        title=_("Hand the organization over?"),
        text=lines,
        button=_("Hand over"),
        button_class="danger",
        cancel_url=_member_url(request, organization_id, user_id),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def remove(request: AuthenticatedHttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Remove a member, after a confirmation."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    target = _target(manager, user_id)
    if request.method == "POST":
        try:
            memberships.remove(manager, user_id, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
            return _back(request, organization_id, user_id)
        messages.success(request, _("%(email)s is no longer a member.") % {"email": target.user.email})
        if target.user_id == manager.user_id:
            return redirect("accounts:dashboard")
        return redirect(reverse("organizations:members", args=[organization_id]) + _list_query(request))
    mailed = _("The owners are emailed about it.") if target.role == Role.OWNER else _("No email is sent about it.")
    return confirm_below(
        request,
        manager,
        "members",
        icon="users",
        title=_("Remove %(email)s?") % {"email": target.user.email},
        text=[
            _("They lose access to everything in this organization. To come back, they need a new invitation."),
            mailed,
        ],
        button=_("Remove User from Organization"),
        button_class="danger",
        cancel_url=_member_url(request, organization_id, user_id),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def exempt(request: AuthenticatedHttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Exempt a service account from the policy until a day, or end its exemption."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    target = _target(owner, user_id)
    if request.method != "POST":  # back from a proof
        return _back(request, organization_id, user_id)
    form = ExemptionForm(request.POST)
    ends = "end" in request.POST
    if not ends and not form.is_valid():
        messages.error(request, _("Enter a reason, and choose a day within the next year."))
        return _back(request, organization_id, user_id)
    until = None if ends else form.ends_at
    reason = "" if ends else form.cleaned_data["reason"]
    try:
        policy_changes.exempt(owner, target.user_id, reason=reason, until=until, origin=origin_of(request))
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(
            request, _("The exemption has ended.") if ends else _("The member is now exempt from the policy.")
        )
    return _back(request, organization_id, user_id)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def start_reset(request: AuthenticatedHttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Start the assisted reset of a member who has lost their factor. The member confirms it by email."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    if not proofs.has_proven_factor(request):  # a password is not enough to reset another user's factor (SR-28)
        messages.error(
            request, _("To reset the multi-factor authentication of a member, set it up for yourself first.")
        )
        return redirect(reverse("mfa:activate", query={"next": request.get_full_path()}))
    target = _target(owner, user_id).user
    form = bound(request, ReasonForm, initial=kept_forms.kept_form(request))
    if form.is_valid():
        with refusals_on(request, form):
            assisted_reset.start(owner, target.pk, reason=form.cleaned_data["reason"], origin=origin_of(request))
            messages.success(
                request, _("The reset has started. We have asked %(email)s to confirm it.") % {"email": target.email}
            )
            return _back(request, organization_id, user_id)
    context = {
        **page_of(owner, "members", is_below=True),
        "member": target,
        "member_url": _member_url(request, organization_id, user_id),
        "hours": mfa_reset.hours_to_wait(),
    }
    return render_form(request, "organizations/assisted_reset.html", form, **context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def cancel_reset(request: AuthenticatedHttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Cancel the assisted reset of a member that an owner has started, after a confirmation."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    target = _target(owner, user_id)
    if request.method == "POST":
        try:
            assisted_reset.cancel(owner, user_id, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(request, _("The reset is cancelled."))
        return _back(request, organization_id, user_id)
    return confirm_below(
        request,
        owner,
        "members",
        title=_("Cancel the reset?"),
        icon="warning",
        text=[_("The codes that we emailed to %(email)s no longer work.") % {"email": target.user.email}],
        button=_("Cancel the reset"),
        button_class="danger",
        cancel_url=_member_url(request, organization_id, user_id),
    )

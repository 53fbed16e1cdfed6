"""Pages of members and invitations, for owners and admins."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.identifiers import key_of
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import csv_file, refuse
from mfa import browser, rescue
from mfa.stepup import needs_fresh_proof
from organizations import invitations, overview, policy_changes, rescues
from organizations import membership as memberships
from organizations.forms import ExemptionForm, InviteForm, ReasonForm, RoleForm
from organizations.models import MANAGERS, Membership, Organization, Role
from organizations.requests import OWNERS, membership_of
from organizations.shown import member_rows, state_in_words

PER_PAGE = 25
INVITATIONS_BESIDE = 5
REFUSED_SHOWN = 10


@never_cache
@require_safe
@login_required
def member_list(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """List the members with their role and MFA, and the open invitations."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    organization = manager.organization
    state, q = request.GET.get("mfa", "all"), request.GET.get("q", "")[:254]
    after = request.GET.get("after", "")[:254]
    page = overview.members(organization, state=state, starts=key_of(q), after=after, limit=PER_PAGE)
    counts = overview.counts(organization)
    states = [
        (name, state_in_words(value), counts.by_state.get(value, 0)) for name, value in overview.STATE_NAMED.items()
    ]
    pending = list(invitations.pending(organization)[: INVITATIONS_BESIDE + 1])
    context = {
        "organization": organization,
        "rows": member_rows(organization, page.rows),
        "page": page,
        "q": q,
        "state": state,
        "query": f"{urlencode({'mfa': state, 'q': q})}&",
        "states": [("missing", _("does not meet the policy"), counts.missing), *states],
        "more_states": [("exempt", _("exempt")), *Role.choices],
        "total": sum(counts.by_state.values()),
        "invitations": pending[:INVITATIONS_BESIDE],
        "more_invitations": len(pending) > INVITATIONS_BESIDE,
        "now": timezone.now(),
        "invite_form": InviteForm(at_most=Role(manager.role)),
    }
    return render(request, "organizations/members.html", context)


@never_cache
@require_safe
@login_required
def members_csv(request: HttpRequest, organization_id: UUID) -> StreamingHttpResponse:
    """Give all members and their MFA as a file, row by row."""
    organization = membership_of(request, organization_id, roles=MANAGERS).organization
    head = [_("Email"), _("Name"), _("Role"), _("Modes"), _("Preferred"), _("Meets the policy"), _("Exempt until"),
            _("Last verified"), _("Last sign-in"), _("Joined")]  # fmt: skip
    return csv_file("members", head, _cells(organization))


def _cells(organization: Organization) -> Iterator[list[str]]:
    for batch in overview.everybody(organization):
        for row, shown in zip(batch, member_rows(organization, batch), strict=True):
            meets = _("yes") if shown["meets"] else _("no")
            cells = [row.user.email, row.user.name, row.role, row.modes or _("off"), row.user.preferred_mode, meets]
            times = [row.exempt_until, row.verified_at, row.user.last_login, row.created_at]  # type: ignore[attr-defined]
            yield [*cells, *(at.isoformat(timespec="seconds") if at else "" for at in times)]


# --- one member -----------------------------------------------------------------------------------


def _target(manager: Membership, user_id: UUID) -> Membership:
    found = overview.member(manager.organization, user_id)
    if found is None:
        raise Http404
    return found


@never_cache
@require_safe
@login_required
def member(request: HttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Show one member and what can be done."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    target = _target(manager, user_id)
    mine, theirs = Role(manager.role), Role(target.role)
    context = {
        "organization": manager.organization,
        "row": member_rows(manager.organization, [target])[0],
        "is_me": target.user_id == manager.user_id,
        "is_owner": mine == Role.OWNER,
        "may_change": theirs.rank <= mine.rank,
        "may_be_exempt": theirs not in MANAGERS,
        "role_form": RoleForm(at_most=mine, initial={"role": theirs, **_kept(request, "organizations:set_role")}),
        "exemption_form": ExemptionForm(initial=_kept(request, "organizations:exempt")),
    }
    return render(request, "organizations/member.html", context)


def _kept(request: HttpRequest, name: str) -> dict[str, str]:
    """Give what was typed into a form of this page that is sent elsewhere, before a proof was asked for."""
    match = request.resolver_match
    return browser.kept_form(request, reverse(name, kwargs=match.kwargs)) if match else {}


def _back(organization_id: UUID, user_id: UUID) -> HttpResponse:
    return redirect("organizations:member", organization_id, user_id)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def set_role(request: HttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Give a member another role."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    if request.method != "POST":  # back from a proof
        return _back(organization_id, user_id)
    form = RoleForm(request.POST, at_most=Role(manager.role))
    if not form.is_valid():
        messages.error(request, memberships.RoleMissing.message)
        return _back(organization_id, user_id)
    try:
        memberships.set_role(manager, user_id, Role(form.cleaned_data["role"]), origin_of(request))
    except memberships.NotAMember:
        raise Http404 from None
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("The role is changed."))
        if manager.user_id == user_id:
            return redirect(manager.organization)
    return _back(organization_id, user_id)


def _confirm(request: HttpRequest, **context: object) -> HttpResponse:
    return render(request, "mfa/confirm.html", {"icon": "users", **context})


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def hand_over(request: HttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Make another member the owner in one's own place."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    target = _target(owner, user_id)
    if request.method == "POST":
        try:
            memberships.hand_over(owner, user_id, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(
                request, _("%(email)s is an owner now, and you are an admin.") % {"email": target.user.email}
            )
        return redirect(owner.organization)
    return _confirm(
        request,
        title=_("Hand the organization over?"),
        text=[
            _("%(email)s becomes an owner and you become an admin. Only an owner can give it back.")
            % {"email": target.user.email}
        ],
        button=_("Hand over"),
        button_class="danger",
        cancel_url=reverse("organizations:member", args=[organization_id, user_id]),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def remove(request: HttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Take a member out, after a confirmation."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    target = _target(manager, user_id)
    if request.method == "POST":
        try:
            memberships.remove(manager, user_id, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
            return _back(organization_id, user_id)
        messages.success(request, _("%(email)s is no longer a member.") % {"email": target.user.email})
        if target.user_id == manager.user_id:
            return redirect("accounts:dashboard")
        return redirect("organizations:members", organization_id)
    return _confirm(
        request,
        title=_("Remove %(email)s?") % {"email": target.user.email},
        text=[_("They lose access to everything of this organization. Only an invitation brings them back.")],
        button=_("Remove User from Organization"),
        button_class="danger",
        cancel_url=reverse("organizations:member", args=[organization_id, user_id]),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def exempt(request: HttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Spare a service account the policy for a while, or end that."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    target = _target(owner, user_id)
    if request.method != "POST":  # back from a proof
        return _back(organization_id, user_id)
    form = ExemptionForm(request.POST)
    ends = "end" in request.POST
    if not ends and not form.is_valid():
        messages.error(request, _("Give a reason, and a day within the next year."))
        return _back(organization_id, user_id)
    until = None if ends else datetime.combine(form.cleaned_data["until"], time(), UTC)
    reason = "" if ends else form.cleaned_data["reason"]
    try:
        policy_changes.exempt(owner, target.user_id, reason=reason, until=until, origin=origin_of(request))
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("The exemption is ended.") if ends else _("The member is exempt from the policy."))
    return _back(organization_id, user_id)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_fresh_proof
@login_required
def assisted_reset(request: HttpRequest, organization_id: UUID, user_id: UUID) -> HttpResponse:
    """Start the reset of a member who has lost their factor; the member's mailbox has to confirm it."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    if not browser.has_proven_factor(request):  # a password is not enough to help others past theirs (SR-28)
        messages.error(request, policy_changes.OwnMfaIsOff.message)
        return redirect("mfa:activate")
    target = _target(owner, user_id).user
    form = ReasonForm(request.POST if request.method == "POST" else None, initial=browser.kept_form(request))
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            rescues.start(owner, target.pk, reason=form.cleaned_data["reason"], origin=origin_of(request))
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            messages.success(request, _("The reset is started: we have asked %(email)s.") % {"email": target.email})
            return redirect(owner.organization)
    context = {"form": form, "organization": owner.organization, "member": target, "hours": rescue.hours_to_wait()}
    return render(request, "organizations/assisted_reset.html", context, status=status)


# --- invitations ----------------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def invitation_list(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    """List the open invitations; a POST invites one address or many, and keeps what was refused to be corrected."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    form, status = InviteForm(at_most=Role(manager.role), initial=browser.kept_form(request)), 200
    if request.method == "POST":
        form = InviteForm(request.POST, request.FILES, at_most=Role(manager.role))
        status = 400
        if form.is_valid():
            # As for giving the role to a member.
            if form.cleaned_data["role"] in MANAGERS and not browser.has_fresh_proof(request):
                return browser.ask_for_proof(request)
            try:
                refused_form = _invite(request, manager, form)
            except Refused as refused:
                status = refuse(request, form, "email", refused)
            else:
                if refused_form is None:
                    return redirect("organizations:members", organization_id)
                form = refused_form
    q = request.GET.get("q", "")[:254]
    rows = invitations.pending(manager.organization, starts=key_of(q))
    context = {
        "organization": manager.organization,
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "q": q,
        "query": f"{urlencode({'q': q})}&" if q else "",
        "now": timezone.now(),
        "invite_form": form,
    }
    return render(request, "organizations/invitations.html", context, status=status)


def _invite(request: HttpRequest, manager: Membership, form: InviteForm) -> InviteForm | None:
    """Invite, and return the form with what was refused, to be corrected; None if nothing was."""
    role = form.cleaned_data["role"]
    sent = invitations.send_many(manager, form.cleaned_data["emails"], role=role, origin=origin_of(request))
    if sent.invited:
        text = ngettext("%(n)d invitation is on its way.", "%(n)d invitations are on their way.", sent.invited)
        messages.success(request, text % {"n": sent.invited})
    if not sent.refused:
        return None
    refused = InviteForm(
        {"email": "\n".join(email for email, _reason in sent.refused), "role": role}, at_most=Role(manager.role)
    )
    for email, reason in sent.refused[:REFUSED_SHOWN]:
        refused.add_error("email", f"{email}: {reason}")
    if (left := len(sent.refused) - REFUSED_SHOWN) > 0:
        refused.add_error("email", _("… and %(n)d more that could not be invited.") % {"n": left})
    return refused


@require_POST
@login_required
def resend_invitation(request: HttpRequest, organization_id: UUID, invitation_id: UUID) -> HttpResponse:
    """Mail an invitation again."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    to_manage = invitations.pending(manager.organization).filter(pk=invitation_id, role__in=MANAGERS).exists()
    if to_manage and not browser.has_fresh_proof(request):  # as for sending it
        return browser.ask_for_proof(request, back=reverse("organizations:invitations", args=[organization_id]))
    try:
        sent = invitations.resend(manager, invitation_id, origin_of(request))
    except invitations.NoSuchInvitation:
        raise Http404 from None
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("The invitation of %(email)s is on its way again.") % {"email": sent.email})
    return redirect("organizations:members", organization_id)


@require_POST
@login_required
def withdraw_invitation(request: HttpRequest, organization_id: UUID, invitation_id: UUID) -> HttpResponse:
    """Withdraw an invitation."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    try:
        invitations.withdraw(manager, invitation_id, origin_of(request))
    except invitations.NoSuchInvitation:
        raise Http404 from None
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("The invitation is withdrawn."))
    return redirect("organizations:members", organization_id)

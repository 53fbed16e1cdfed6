"""Pages of invitations, for owners and admins."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.identifiers import key_of
from accounts.refusals import Refused
from accounts.web import kept_forms, proofs
from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.form_pages import refusals_on, render_form
from accounts.web.origin import origin_of
from organizations import invitations
from organizations.models import MANAGERS, Invitation, Membership, Role
from organizations.web.forms import InviteForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of

MAX_REFUSED_SHOWN = 10

PER_PAGE = 25


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_list(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """List the open invitations. A POST invites one or many emails; refused ones stay in the form to be corrected."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    form = InviteForm(at_most=Role(manager.role), initial=kept_forms.kept_form(request))
    if request.method == "POST":
        form = InviteForm(request.POST, request.FILES, at_most=Role(manager.role))
    if form.is_valid():
        # A change of a member's role needs the same proof.
        if form.cleaned_data["role"] in MANAGERS and not proofs.has_recent_proof(request):
            return proofs.ask_for_proof(request)
        with refusals_on(request, form, "email"):
            refused_form = _invite(request, manager, form)
            if refused_form is None:
                return redirect(reverse("organizations:members", args=[organization_id]) + "#invites")
            form = refused_form
    q = request.GET.get("q", "")[:254]
    rows = invitations.pending(manager.organization, search=key_of(q))
    context = {
        **page_of(manager, "invitations"),
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "q": q,
        "now": timezone.now(),
        "invite_form": form,
    }
    return render_form(request, "organizations/invitations.html", form, focus=False, **context)


def _invite(request: HttpRequest, manager: Membership, form: InviteForm) -> InviteForm | None:
    """Invite the emails. Return a form with the refused ones, or None if all were invited."""
    role = form.cleaned_data["role"]
    sent = invitations.send_many(manager, form.cleaned_data["emails"], role=role, origin=origin_of(request))
    if sent.invited:
        text = ngettext("%(n)d invitation is on its way.", "%(n)d invitations are on their way.", sent.invited)
        messages.success(request, format_html("{} {}", text % {"n": sent.invited}, _link_to(sent.invitations)))
    if not sent.refused:
        return None
    refused = InviteForm(
        {"email": "\n".join(email for email, _reason in sent.refused), "role": role}, at_most=Role(manager.role)
    )
    for email, reason in sent.refused[:MAX_REFUSED_SHOWN]:
        refused.add_error("email", _("%(email)s: %(reason)s") % {"email": email, "reason": reason})
    if (left := len(sent.refused) - MAX_REFUSED_SHOWN) > 0:
        refused.add_error("email", _("… and %(n)d more that could not be invited.") % {"n": left})
    return refused


def _link_to(sent: list[Invitation]) -> str:
    """Return a link to a new invitation that says whom it makes what; for several, to their list."""
    first = sent[0]
    role = first.get_role_display()
    text = _("See it: %(email)s as %(role)s") % {"email": first.email, "role": role}
    if len(sent) > 1:
        text = _("See them: %(n)d as %(role)s") % {"n": len(sent), "role": role}
    url = reverse("organizations:invitations", args=[first.organization_id])
    return format_html('<a href="{}#invitation-{}">{}</a>', url, first.pk, text)


@require_POST
def resend_invitation(request: AuthenticatedHttpRequest, organization_id: UUID, invitation_id: UUID) -> HttpResponse:
    """Mail an invitation again."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    to_manage = invitations.pending(manager.organization).filter(pk=invitation_id, role__in=MANAGERS).exists()
    if to_manage and not proofs.has_recent_proof(request):  # as for sending it
        return proofs.ask_for_proof(request, back=reverse("organizations:invitations", args=[organization_id]))
    try:
        sent = invitations.resend(manager, invitation_id, origin_of(request))
    except invitations.NoSuchInvitation:
        raise Http404 from None
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("We have sent the invitation to %(email)s again.") % {"email": sent.email})
    return redirect("organizations:invitations", organization_id)


@require_POST
def withdraw_invitation(request: AuthenticatedHttpRequest, organization_id: UUID, invitation_id: UUID) -> HttpResponse:
    """Withdraw an invitation. Owners and admins; never an invitation above one's own role."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    try:
        invitations.withdraw(manager, invitation_id, origin_of(request))
    except invitations.NoSuchInvitation:
        raise Http404 from None
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("The invitation is withdrawn."))
    return redirect("organizations:invitations", organization_id)

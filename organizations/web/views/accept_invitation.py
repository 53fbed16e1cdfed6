"""Page on which a user accepts an invitation."""

import re

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.identifiers import masked
from accounts.models import User
from accounts.refusals import Refused
from accounts.web.access import public, works_while_blocked
from accounts.web.cookies import invitation_of, remember_invitation
from accounts.web.origin import origin_of
from organizations import invitations, policy
from organizations.models import Role

CODE = re.compile(r"\A[\w-]{1,200}\Z", re.ASCII)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@works_while_blocked
@public
def accept_invitation(request: HttpRequest) -> HttpResponse:
    """Show an invitation to any visitor with its link. The user whom it names can accept it.

    The code moves from the URL into a cookie at once, so that no later URL contains it (SR-19). Opening the link stores
    nothing in the database.
    """
    if request.method != "POST" and (code := request.GET.get(invitations.CODE_PARAMETER)):
        if not CODE.match(code) or invitations.find(code) is None:
            return render(request, "organizations/invitation_over.html", status=404)
        remember_invitation(request, code)
        return redirect("organizations:accept_invitation")
    code = invitation_of(request)
    invitation = invitations.find(code) if code else None
    if invitation is None:
        remember_invitation(request, "")
        return render(request, "organizations/invitation_over.html", status=404)
    # Accept only the invitation that the page showed: another link may have been opened since.
    is_shown = request.POST.get("invitation", str(invitation.pk)) == str(invitation.pk)
    if request.method == "POST" and isinstance(request.user, User) and is_shown:
        return _accept(request, request.user, code, Role(invitation.role))
    user = request.user
    context = {
        "invitation": invitation,
        "email": masked(invitation.email),
        "is_mine": user.is_authenticated and user.email_key == invitation.email_key,
        "here": reverse("organizations:accept_invitation"),
        "mfa_first": invitation.organization.mfa_required
        and not (user.is_authenticated and invitation.organization.is_met_by(user.modes)),
    }
    return render(request, "organizations/accept_invitation.html", context)


def _accept(request: HttpRequest, user: User, code: str, role: Role) -> HttpResponse:
    try:
        joined = invitations.accept(user, code, origin_of(request))
    except policy.MfaMissing as refused:
        next_step = _("Activate it. Then you return to your invitation.")
        messages.warning(request, f"{refused.text} {next_step}")
        return redirect(refused.organization.activation_path)
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect("organizations:accept_invitation")
    remember_invitation(request, "")
    messages.success(request, _joined_as(role) % {"name": joined.name})
    return redirect(joined)


def _joined_as(role: Role) -> str:
    if role == Role.OWNER:
        return _("You are now an owner of %(name)s.")
    return _("You are now an admin of %(name)s.") if role == Role.ADMIN else _("You are now a member of %(name)s.")

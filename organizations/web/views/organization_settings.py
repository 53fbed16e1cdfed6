"""Pages on which owners delete their organization, or undo that."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.refusals import Refused
from accounts.templatetags.times import in_words
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.confirmation import confirm
from accounts.web.origin import origin_of
from organizations import deletion
from organizations.models import OWNERS
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of


@require_safe
def organization_settings(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Show what identifies the organization, and its deletion."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    return render(request, "organizations/settings.html", page_of(owner, "settings"))


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def delete(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Plan the deletion of the organization, after a confirmation that says what goes and when."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    name = owner.organization.name
    if request.method == "POST":
        try:
            deletion.request(owner, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(
                request, _("The deletion of %(name)s is planned. Every owner can undo it.") % {"name": name}
            )
        return redirect("organizations:settings", organization_id)
    day = in_words(timezone.now() + settings.ORGANIZATION_DELETION_WAIT)
    return confirm(
        request,
        title=_("Delete %(name)s?") % {"name": name},
        icon="warning",
        text=[
            _("On %(day)s the members lose access, and we delete the invitations, the rules and the environments.")
            % {"day": day},
            _(
                "Until then everything works as before, and every owner can undo this. We email all owners today, and "
                "again when it is done."
            ),
            _("Members keep their accounts. What runs on the pods is not affected. The security log is kept."),
        ],
        button=_("Delete this organization"),
        button_class="danger",
        cancel_url=reverse("organizations:settings", args=[organization_id]),
    )


@require_POST
def keep(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Undo a planned deletion. It needs no recent proof: it only keeps what is there."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    try:
        deletion.cancel(owner, origin_of(request))
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("%(name)s will not be deleted.") % {"name": owner.organization.name})
    return redirect("organizations:settings", organization_id)

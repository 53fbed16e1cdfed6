"""Page on which a user creates an organization."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from organizations import creation
from organizations.web.forms import OrganizationForm


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Create an organization, of which the signed-in user is the owner."""
    if not creation.may_create(request.user):
        raise PermissionDenied
    form = bound(request, OrganizationForm)
    if form.is_valid():
        with refusals_on(request, form):
            made = creation.create(request.user, form.cleaned_data["name"], origin_of(request))
            messages.success(request, _("%(name)s is created. You are its owner.") % {"name": made.name})
            return redirect(made)
    return render_form(request, "organizations/create.html", form)

"""The page for the mails that a user can turn off."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import notices
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.forms import NoticesForm
from accounts.web.origin import origin_of


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def change(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Let the user choose the optional mails, and name those that are always sent."""
    form = bound(request, NoticesForm, initial={"wanted": notices.wanted(request.user)})
    if form.is_valid():
        with refusals_on(request, form):
            notices.change(request.user, form.cleaned_data["wanted"], origin_of(request))
            messages.success(request, _("Your choice of emails is saved."))
            return redirect("accounts:settings")
    return render_form(request, "accounts/notices.html", form, focus=False)

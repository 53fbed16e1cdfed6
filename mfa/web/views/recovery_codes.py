"""Pages for creating recovery codes."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.refusals import Refused
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from accounts.web.redirection import safe_path
from mfa import recovery
from mfa.web.forms import RecoveryCodeForm
from mfa.web.prompt import settings_page


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def make(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Create recovery codes and show them once. ``next``: the page after the first activation, which ends here."""
    context = _context(request)
    if request.method == "POST":
        try:
            codes = recovery.make(request.user)
        except Refused as refused:
            messages.warning(request, refused.text)
            return redirect("mfa:activate")
        context |= {"codes": codes, "text": "\n".join(codes), "form": RecoveryCodeForm(), "made_at": timezone.now()}
    return render(request, "mfa/recovery_codes.html", context)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def confirm(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Make the new codes valid after the user has typed one of them."""
    if request.method != "POST" and not recovery.are_waiting(request.user):
        return redirect("mfa:recovery_codes")
    form = bound(request, RecoveryCodeForm)
    if form.is_valid():
        with refusals_on(request, form, "code"):
            recovery.confirm(request.user, form.cleaned_data["code"], origin_of(request))
            messages.success(request, _("Your recovery codes are ready. Keep them in a safe place."))
            return redirect(safe_path(request.GET.get("next")) or settings_page())
    return render_form(request, "mfa/recovery_codes.html", form, **_context(request), retry=True)


def _context(request: AuthenticatedHttpRequest) -> dict[str, object]:
    left = recovery.left(request.user)
    return {"left": left, "few": recovery.LOW_RECOVERY_CODES, "next": safe_path(request.GET.get("next"))}

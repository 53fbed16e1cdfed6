"""The page that shows a code for a sign-in at the command line."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.web import proofs
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from mfa import shown_codes


@never_cache
@require_safe
@needs_recent_proof
def waiting(request: AuthenticatedHttpRequest) -> HttpResponse:
    """List the sign-ins of this account that wait at a command line."""
    found = shown_codes.waiting(request.user) if request.user.mfa_is_on else []
    return render(request, "mfa/cli_code.html", {"waiting": found})


@never_cache
@require_POST
@needs_recent_proof
def show(request: AuthenticatedHttpRequest, challenge_id: UUID) -> HttpResponse:
    """Show the code of one of them."""
    shown = shown_codes.show(request.user, challenge_id, proved_by=proofs.mode_of_session(request))
    if shown is None:
        messages.warning(request, _("This sign-in no longer waits: it was finished or has expired."))
        return redirect("mfa:cli_code")
    challenge, code = shown
    return render(request, "mfa/cli_code_shown.html", {"challenge": challenge, "code": code})


@require_POST
@needs_recent_proof
def end(request: AuthenticatedHttpRequest, challenge_id: UUID) -> HttpResponse:
    """End one that the user did not begin."""
    if shown_codes.end(request.user, challenge_id):
        text = _("That sign-in is ended. It began with your password or an SSH key of yours: change your password now.")
        messages.warning(request, text)
        return redirect("accounts:password_change")
    messages.info(request, _("This sign-in no longer waits: it was finished or has expired."))
    return redirect("mfa:cli_code")

"""Pages for passkeys: signing in with one alone, and the list of one's own."""

import json
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.refusals import Refused
from accounts.web import pending_sign_in
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof, public
from accounts.web.confirmation import confirm
from accounts.web.form_pages import RETRY_AFTER, bound, refusals_on, render_form
from accounts.web.origin import origin_of
from accounts.web.redirection import safe_path
from accounts.web.session import empty_session, keep_session
from accounts.web.sign_in_page import browser_secret, render_refused_passkey
from mfa import factors, passkey_offers, passkey_sign_in, passkeys
from mfa.passkey_proofs import MODE, UnknownPasskey
from mfa.passkey_signals import accepted_credentials, unknown_credential, user_details
from mfa.web.enrolments import NEXT_PATH, begin_enrolment
from mfa.web.forms import PasskeyNameForm


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@public
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in the holder of a passkey: no password, no one-time password."""
    if request.method != "POST":
        return redirect("accounts:login")  # the page after a refusal, opened again
    next_path = safe_path(request.POST.get("next", ""))
    credential = request.POST.get("otp", "")
    try:
        answer = passkey_sign_in.sign_in(credential, origin_of(request), browser_secret=browser_secret(request))
    except Refused as refused:
        setattr(request, RETRY_AFTER, refused.seconds_to_wait)
        unknown = unknown_credential(credential) if isinstance(refused, UnknownPasskey) else None
        return render_refused_passkey(request, refused, next_path=next_path, unknown=unknown)
    empty_session(request)
    pending_sign_in.start(request, answer)
    return redirect(next_path or "accounts:dashboard")


@never_cache
@require_safe
def own(request: AuthenticatedHttpRequest) -> HttpResponse:
    """List the passkeys of the account, and tell the browser which of them are right."""
    found = list(passkeys.of_user(request.user)) if MODE in request.user.modes else []
    context = {
        "passkeys": found,
        "may_add": len(found) < passkeys.MAX_PASSKEYS,
        "accepted": json.dumps(accepted_credentials(request.user, found)),
        "details": json.dumps(user_details(request.user)),
    }
    return render(request, "mfa/passkeys.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def offer(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Offer a passkey after a sign-in with a code; note who wants none, for now or for good."""
    next_path = safe_path(request.POST.get("next") or request.GET.get("next")) or reverse("accounts:dashboard")
    if request.method != "POST":
        return render(request, "mfa/offer_passkey.html", {"next": next_path})
    passkey_offers.put_off(request.user, for_good=request.POST.get("answer") == "never")
    return redirect(next_path)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def add(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Begin to add a passkey, after a recent proof in place of the password of the activation page."""
    if request.method == "POST":
        if next_path := safe_path(request.POST.get("next", "")):
            request.session[NEXT_PATH] = next_path
        return begin_enrolment(request, request.user, MODE)
    return confirm(
        request,
        title=_("Add a passkey?"),
        icon="fingerprint",
        text=[_("Your browser will make a passkey on this device, on another one, or on a security key."),
              _("Adding it signs out your other sessions.")],
        button=_("Add a passkey"),
        button_class="action",
        cancel_url=reverse("mfa:passkeys"),
    )  # fmt: skip


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def rename(request: AuthenticatedHttpRequest, passkey_id: UUID) -> HttpResponse:
    """Change the name of a passkey."""
    passkey = get_object_or_404(passkeys.of_user(request.user), pk=passkey_id)
    form = bound(request, PasskeyNameForm, initial={"name": passkey.name})
    if form.is_valid():
        with refusals_on(request, form, "name"):
            name = passkeys.rename(request.user, passkey_id, form.cleaned_data["name"], origin=origin_of(request))
            messages.success(request, _("The passkey is now called %(name)s.") % {"name": name})
            return redirect("mfa:passkeys")
    return render_form(request, "mfa/rename_passkey.html", form)


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def remove(request: AuthenticatedHttpRequest, passkey_id: UUID) -> HttpResponse:
    """Remove a passkey. The last one is removed by disabling the mode, with what that asks and says."""
    own_passkeys = passkeys.of_user(request.user)
    passkey = get_object_or_404(own_passkeys, pk=passkey_id)
    if own_passkeys.count() == 1:
        return redirect("mfa:disable", MODE)
    if request.method != "POST":
        return confirm(
            request,
            title=_("Remove the passkey %(name)s?") % {"name": passkey.name},
            icon="fingerprint",
            text=[_("You can no longer sign in with it."), _("Your other sessions will be signed out.")],
            button=_("Remove"),
            button_class="danger",
            cancel_url=reverse("mfa:passkeys"),
        )
    try:
        removed = passkeys.remove(
            request.user,
            passkey_id,
            origin=origin_of(request),
            end_everything_else=lambda user: factors.end_everything_else(user, session_key=request.session.session_key),
        )
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect("mfa:passkeys")
    if removed is None:
        return redirect("mfa:disable", MODE)
    keep_session(request, removed.user)
    messages.success(request, _("The passkey %(name)s is removed.") % {"name": removed.name})
    return redirect("mfa:passkeys")

"""The OTP prompt at sign-in."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import signin
from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.web import pending_sign_in, proofs
from accounts.web.access import public
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from accounts.web.pending_sign_in import PendingSignIn
from accounts.web.redirection import safe_path
from mfa import assisted_reset, challenges, modes, passkey_offers, recovery, unfinished_sign_ins
from mfa.web import prompt
from mfa.web.enrolments import begin_enrolment
from mfa.web.forms import OtpForm, PasskeyForm


@never_cache
@sensitive_post_parameters("otp")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def otp_prompt(request: HttpRequest) -> HttpResponse:
    """Ask for the code that completes a sign-in."""
    pending = pending_sign_in.read(request)
    by_recovery = "recovery" in request.GET
    form_class = prompt.form_class(request, OtpForm, PasskeyForm)
    form = bound(request, form_class, recovery=by_recovery, may_remember=pending.may_remember and not by_recovery)
    refused = None
    if form.is_valid() and pending.challenge:
        with refusals_on(request, form, "otp") as refusal:
            answer = challenges.answer_sign_in(
                pending.challenge, form.cleaned_data["otp"], origin_of(request), channel=Channel.BROWSER
            )
            pending_sign_in.complete(request, answer, remember=form.cleaned_data.get("remember", False))
            return _redirect(request, answer.finished.user, pending)
        refused = refusal.error
    challenge = pending_sign_in.find(request)
    if challenge is None:
        return _sign_in_is_over(request, refused)
    if prompt.is_for_other_mode(form, challenge, by_recovery=by_recovery):
        messages.warning(request, refused.text if refused else challenges.NotACode.message)
        return redirect(request.get_full_path())
    context = {"by_recovery": by_recovery, "next": pending.next, **prompt.prompt_context(challenge, origin_of(request))}
    if not context["refusal"]:
        prompt.explain(form, challenge)
    return render_form(request, "mfa/otp_prompt.html", form, **context)


def _sign_in_is_over(request: HttpRequest, refused: Refused | None = None) -> HttpResponse:
    # The cookie with the path expires with the sign-in; the form has the path too.
    next_path = pending_sign_in.read(request).next or safe_path(request.POST.get("next"))
    pending_sign_in.forget(request)
    if not request.user.is_authenticated:
        messages.warning(request, prompt.ended_by(refused) or signin.SignInOver.message)
    return redirect(reverse("accounts:login", query={"next": next_path} if next_path else None))


def _redirect(request: HttpRequest, user: User, pending: PendingSignIn) -> HttpResponse:
    """Redirect after a sign-in: to a pending enrolment, or to the page that was asked for."""
    proved_by = proofs.mode_of_session(request)
    if proved_by == recovery.MODE:
        _show_codes_left(request, user)
    if proved_by == assisted_reset.MODE:
        messages.warning(
            request, _("Set up a new sign-in method to continue. Everything else stays locked until you do.")
        )
        return redirect("mfa:activate")
    if user.mailbox_failed_at and modes.any_mailed(user.modes):
        text = _("Mail to your address does not arrive: %(reason)s. Your account settings say what to do.")
        messages.warning(request, text % {"reason": user.mailbox_problem})
    if pending.activate:
        return begin_enrolment(request, user, pending.activate)
    if "can_passkey" in request.POST and passkey_offers.is_due(user, proved_by=proved_by):
        return redirect(reverse("mfa:offer_passkey", query={"next": pending.next} if pending.next else None))
    return redirect(pending.next or "accounts:dashboard")


def _show_codes_left(request: HttpRequest, user: User) -> None:
    left = recovery.left(user)
    text = ngettext(
        "You used a recovery code. %(n)d code is left.", "You used a recovery code. %(n)d codes are left.", left
    )
    lost = _("If you have lost your phone, set up its mode again in the account settings: the lost one stops working.")
    messages.warning(request, f"{text % {'n': left}} {lost}")


@require_POST
@public
def resend(request: HttpRequest) -> HttpResponse:
    """Mail the code of the pending sign-in again."""
    challenge = pending_sign_in.find(request)
    if challenge is None:
        return _sign_in_is_over(request)
    prompt.send(request, challenge)
    return redirect("mfa:otp_prompt")


@require_POST
@public
def switch(request: HttpRequest) -> HttpResponse:
    """Use another enabled mode for this sign-in only."""
    challenge = pending_sign_in.find(request)
    if challenge is None:
        return _sign_in_is_over(request)
    pending_sign_in.mail_if_due(request, prompt.switch(request, challenge))
    return redirect("mfa:otp_prompt")


@require_POST
@public
def cancel(request: HttpRequest) -> HttpResponse:
    """Cancel the pending sign-in."""
    challenge = pending_sign_in.find(request)
    if challenge is not None:
        unfinished_sign_ins.end(challenge)
    pending_sign_in.forget(request)
    messages.success(request, _("The sign-in was cancelled."))
    return redirect("accounts:login")

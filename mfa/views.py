"""Pages of codes: the OTP prompt, the step-up, enabling and disabling modes."""

from collections.abc import Callable
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import mailbox, passwords, signin
from accounts.forms import MailboxCodeForm
from accounts.identifiers import masked
from accounts.models import MailboxProof, Mode, User
from accounts.origin import origin_of
from accounts.redirection import safe_path
from accounts.refusals import Refused
from accounts.requests import (
    MAILBOX_PROOF,
    invitation_of,
    keep_session,
    keep_session_until,
    person,
    proof_of,
    refuse,
    remember_mailbox_proof,
    send_mailbox_code_again,
    waits_until,
)
from mfa import activation, browser, challenges, codes, modes, qr, recovery, remembered, rescue, stepup
from mfa.forms import (
    ActivateForm,
    CompleteActivationForm,
    ConfirmResetForm,
    OtpForm,
    PasswordForm,
    RecoveryCodeForm,
    StepUpForm,
)
from mfa.models import Challenge, Factor
from mfa.stepup import asks_for_password, needs_fresh_proof
from organizations import policy
from organizations.models import Organization
from organizations.policy import works_without_mfa


def _settings_page() -> str:
    return f"{reverse('accounts:settings')}?mfa=open#mfa"


def _prompt_context(challenge: Challenge) -> dict[str, object]:
    """What both prompts show of a challenge. One query."""
    enabled = modes.enabled(challenge.user)
    return {
        "mode": challenge.mode,
        "other_modes": [factor.mode for factor in enabled if factor.mode != challenge.mode],
        "mails_sent": challenge.mails,
        "last_mail_at": challenge.last_mail_at,
        "resend_at": waits_until(challenges.resend_at(challenge)),
        "email": masked(challenge.user.email),
        "expires_at": challenge.expires_at,
    }


# --- the OTP prompt at sign-in ----------------------------------------------------------------


def _ended_by(refused: Refused | None) -> str:
    """Return the words of a wrong code that ended its challenge; blank if it was over for another reason."""
    return refused.text if isinstance(refused, challenges.RefusedCode) and refused.is_last else ""


def _sign_in_is_over(request: HttpRequest, refused: Refused | None = None) -> HttpResponse:
    request.session.pop(browser.SIGN_IN, None)
    if not request.user.is_authenticated:
        messages.warning(request, _ended_by(refused) or signin.AttemptOver.message)
    return redirect("accounts:login")


@never_cache
@sensitive_post_parameters("otp")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def otp_prompt(request: HttpRequest) -> HttpResponse:
    """Ask for the code that completes a sign-in."""
    challenge = browser.pending_sign_in(request)
    if challenge is None:
        return _sign_in_is_over(request)
    by_recovery = "recovery" in request.GET
    form = OtpForm(
        request.POST if request.method == "POST" else None,
        recovery=by_recovery,
        may_remember=not by_recovery and browser.may_remember(request),
    )
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            factor = challenges.answer(challenge, form.cleaned_data["otp"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "otp", refused)
            challenge = browser.pending_sign_in(request)
            if challenge is None:
                return _sign_in_is_over(request, refused)
        else:
            return _go_on(request, browser.sign_in(request, factor, remember=form.cleaned_data.get("remember", False)))
    context = {"form": form, "by_recovery": by_recovery, **_prompt_context(challenge)}
    return render(request, "mfa/otp_prompt.html", context, status=status)


def _go_on(request: HttpRequest, remembered: dict[str, str]) -> HttpResponse:
    """Lead on after a sign-in: to the enrolment that waited for it, or to where the person wanted to go."""
    _tell_of_recovery(request)
    if browser.mode_of_session(request) == rescue.MODE:
        messages.warning(request, _("Now set up a new mode: until then your account opens nothing else."))
        return redirect("mfa:activate")
    if mode := remembered.get("activate"):
        return _begin_enrolment(request, mode, person(request))
    return redirect(remembered.get("next") or "accounts:dashboard")


def _tell_of_recovery(request: HttpRequest) -> None:
    if browser.mode_of_session(request) == recovery.MODE:
        left = recovery.left(person(request))
        text = ngettext(
            "You have used a recovery code; %(n)d is left.", "You have used a recovery code; %(n)d are left.", left
        )
        messages.warning(request, text % {"n": left})


@require_POST
@works_without_mfa
def resend(request: HttpRequest) -> HttpResponse:
    """Mail the code of this sign-in again."""
    challenge = browser.pending_sign_in(request)
    if challenge is None:
        return _sign_in_is_over(request)
    _send(request, challenge)
    return redirect("mfa:otp_prompt")


def _send(request: HttpRequest, challenge: Challenge) -> None:
    try:
        challenges.send_code(challenge, origin_of(request))
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("We have sent the code. It may take a minute or two to arrive."))


@require_POST
@works_without_mfa
def switch(request: HttpRequest) -> HttpResponse:
    """Use another enabled mode for this sign-in alone."""
    challenge = browser.pending_sign_in(request)
    if challenge is None:
        return _sign_in_is_over(request)
    browser.mail_if_due(request, _switch(request, challenge))
    return redirect("mfa:otp_prompt")


def _switch(request: HttpRequest, challenge: Challenge) -> Challenge:
    try:
        challenge = challenges.switch(challenge, request.POST.get("mode", ""))
    except Refused as refused:
        messages.error(request, refused.text)
    return challenge


@require_POST
@works_without_mfa
def cancel_sign_in(request: HttpRequest) -> HttpResponse:
    """Give up a sign-in."""
    challenge = browser.pending_sign_in(request)
    if challenge is not None and challenge.attempt is not None:
        signin.cancel(challenge.attempt)
    request.session.pop(browser.SIGN_IN, None)
    return redirect("accounts:login")


# --- the step-up: a proof by a factor, moments ago ----------------------------------------------


def _step_up_challenge(request: HttpRequest) -> Challenge:
    """Find this session's step-up, or begin one. The page is only reached by users with MFA on."""
    challenge = stepup.find(request.session.get(browser.STEP_UP), person(request))
    if challenge is None:
        challenge = stepup.begin(person(request))
        request.session[browser.STEP_UP] = str(challenge.pk)
    return challenge


@never_cache
@sensitive_post_parameters("otp", "password")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
def step_up(request: HttpRequest) -> HttpResponse:
    """Ask for a code before something sensitive, then go back to it."""
    next_path = safe_path(request.POST.get("next") or request.GET.get("next")) or _settings_page()
    if not person(request).mfa_is_on:
        return _step_up_by_password(request, next_path)
    challenge = _step_up_challenge(request)
    by_recovery = "recovery" in request.GET
    data = request.POST if request.method == "POST" else None
    form = StepUpForm(data, initial={"next": next_path}, recovery=by_recovery)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            factor = challenges.answer(challenge, form.cleaned_data["otp"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "otp", refused)
            challenge = _step_up_challenge(request)
        else:
            request.session.pop(browser.STEP_UP, None)
            browser.remember_proof(request, factor)
            return redirect(next_path)
    context = {
        "form": form,
        "next": next_path,
        "code_sent": challenge.mails > 0,
        "by_recovery": by_recovery,
        **_prompt_context(challenge),
    }
    return render(request, "mfa/step_up.html", context, status=status)


def _step_up_by_password(request: HttpRequest, next_path: str) -> HttpResponse:
    form = PasswordForm(request.POST if request.method == "POST" else None, initial={"next": next_path})
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            passwords.confirm(person(request), form.cleaned_data["password"])
        except Refused as refused:
            status = refuse(request, form, "password", refused)
        else:
            browser.remember_password(request)
            return redirect(next_path)
    return render(request, "mfa/step_up_by_password.html", {"form": form}, status=status)


def _back_to_step_up(request: HttpRequest) -> HttpResponse:
    return redirect(f"{reverse('mfa:step_up')}?{urlencode({'next': safe_path(request.POST.get('next'))})}")


@require_POST
@works_without_mfa
@login_required
def step_up_send(request: HttpRequest) -> HttpResponse:
    """Mail the code of this step-up."""
    if person(request).mfa_is_on:
        _send(request, _step_up_challenge(request))
    return _back_to_step_up(request)


@require_POST
@works_without_mfa
@login_required
def step_up_switch(request: HttpRequest) -> HttpResponse:
    """Use another enabled mode for this step-up alone."""
    if person(request).mfa_is_on:
        challenge = _switch(request, _step_up_challenge(request))
        browser.mail_if_due(request, challenge)
    return _back_to_step_up(request)


# --- enabling a mode --------------------------------------------------------------------------


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@needs_fresh_proof
@asks_for_password
def activate(request: HttpRequest) -> HttpResponse:
    """Ask which mode to enable, and for the credentials of whose account."""
    form = ActivateForm(
        request.POST if request.method == "POST" else None, initial={"type": request.GET.get("type", "")}
    )
    status = 400 if form.errors else 200
    if form.is_valid():
        mode = form.cleaned_data["type"]
        try:
            user = signin.check_credentials(
                form.cleaned_data["identifier"], form.cleaned_data["password"], origin_of(request)
            )
            if request.user.is_authenticated and user != request.user:
                raise signin.WrongCredentials
            if user.mfa_is_on and not request.user.is_authenticated:
                browser.begin_sign_in(request, user, activate=mode, may_remember=False)
                return redirect("mfa:otp_prompt")
            return _begin_enrolment(request, mode, user)
        except Refused as refused:
            status = refuse(request, form, None, refused)
    return render(request, "mfa/activate.html", {"form": form}, status=status)


def _begin_enrolment(request: HttpRequest, mode: str, user: User, *, mailbox_proven: bool = False) -> HttpResponse:
    try:
        enrolment = activation.begin(
            user,
            mode,
            proven=browser.has_proven_factor(request),
            mailbox_proven=mailbox_proven or browser.has_proven_mailbox(request, user),
        )
    except activation.MailboxUnproven:
        proof = mailbox.ask_confirmation(user, origin_of(request))
        remember_mailbox_proof(request, proof)
        browser.wait_for_mailbox(request, user, mode, proof)
        return redirect("mfa:confirm_mailbox")
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect(_settings_page())
    request.session[browser.ENROLMENT] = str(enrolment.pk)
    keep_session_until(request, enrolment.expires_at)
    browser.mail_if_due(request, enrolment)
    return redirect("mfa:complete_activation")


def _waiting_proof(request: HttpRequest) -> MailboxProof | None:
    """Return the open proof of the mailbox for which the first factor of this browser's user waits."""
    waits, proof = request.session.get(browser.FIRST_FACTOR), proof_of(request, MailboxProof.Purpose.CONFIRM_MAILBOX)
    if waits is None or proof is None or proof.user is None or waits["proof"] != str(proof.pk):
        return None
    if request.user.is_authenticated and request.user.pk != proof.user_id:
        return None
    return proof if constant_time_compare(waits["mark"], signin.mark_of(proof.user)) else None


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def confirm_mailbox(request: HttpRequest) -> HttpResponse:
    """Ask for a mailed code before the first factor: a stolen password alone must not add one (SR-23)."""
    proof = _waiting_proof(request)
    if proof is None or proof.user is None:
        return _enrolment_is_over(request)
    form = MailboxCodeForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            user = mailbox.confirm_mailbox(proof, form.cleaned_data["code"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        else:
            mode = request.session.pop(browser.FIRST_FACTOR)["mode"]
            request.session.pop(MAILBOX_PROOF, None)
            browser.remember_mailbox(request, user)
            return _begin_enrolment(request, mode, user, mailbox_proven=True)
    context = {
        "form": form,
        "email": masked(proof.user.email),
        "resend_at": waits_until(mailbox.resend_at(proof)),
        "cancel_url": _settings_page() if request.user.is_authenticated else reverse("accounts:login"),
    }
    return render(request, "mfa/confirm_mailbox.html", context, status=status)


@require_POST
@works_without_mfa
def confirm_mailbox_resend(request: HttpRequest) -> HttpResponse:
    """Mail the code again."""
    proof = _waiting_proof(request)
    if proof is None:
        return _enrolment_is_over(request)
    send_mailbox_code_again(request, proof)
    return redirect("mfa:confirm_mailbox")


def _enrolment(request: HttpRequest) -> Challenge | None:
    """Find this browser's enrolment; one of another account than the signed-in one is none."""
    enrolment = activation.find(request.session.get(browser.ENROLMENT))
    if enrolment is not None and request.user.is_authenticated and enrolment.user_id != request.user.pk:
        return None
    return enrolment


def _enrolment_is_over(request: HttpRequest, refused: Refused | None = None) -> HttpResponse:
    request.session.pop(browser.ENROLMENT, None)
    over = _("This activation has expired or was completed. Please start again.")
    messages.warning(request, _ended_by(refused) or over)
    return redirect("mfa:activate")


@never_cache
@sensitive_post_parameters("otp")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def complete_activation(request: HttpRequest) -> HttpResponse:
    """Ask for the first one-time password of a new mode."""
    enrolment = _enrolment(request)
    if enrolment is None:
        return _enrolment_is_over(request)
    form = CompleteActivationForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        session_key = request.session.session_key if request.user.is_authenticated else None
        try:
            factor = activation.complete(
                enrolment, **form.cleaned_data, origin=origin_of(request), session_key=session_key
            )
        except Refused as refused:
            status = refuse(request, form, "otp", refused)
            enrolment = _enrolment(request)
            if enrolment is None:
                return _enrolment_is_over(request, refused)
        else:
            request.session.pop(browser.ENROLMENT, None)
            messages.success(request, _("Multi-factor Authentication successfully enabled!"))
            return _activated(request, factor)
    context = {"form": form, **_enrolment_context(request, enrolment)}
    return render(request, "mfa/complete_activation.html", context, status=status)


def _activated(request: HttpRequest, factor: Factor) -> HttpResponse:
    """Lead on: to an invitation that waited for this, else to the sign-in or the settings."""
    invitation = reverse("organizations:accept_invitation") if invitation_of(request) else ""
    if factor.mode == Mode.EMAIL:
        browser.remember_mailbox(request, factor.user)
    if not request.user.is_authenticated:
        query = f"?{urlencode({'next': invitation})}" if invitation else ""
        return redirect(reverse("accounts:login") + query)
    browser.remember_proof(request, factor)
    keep_session(request, factor.user)
    return redirect(invitation or _settings_page())


def _enrolment_context(request: HttpRequest, enrolment: Challenge) -> dict[str, object]:
    context: dict[str, object] = {
        "mode": enrolment.mode,
        "email": masked(enrolment.user.email),
        "mails_sent": enrolment.mails,
        "resend_at": waits_until(challenges.resend_at(enrolment)),
        "cancel_url": _settings_page() if request.user.is_authenticated else reverse("accounts:login"),
    }
    if enrolment.mode == Mode.AUTHENTICATOR:
        uri = codes.provisioning_uri(enrolment.secret, account=enrolment.user.email, issuer=settings.OTP_TOTP_ISSUER)
        secret = codes.base32(enrolment.secret)
        context |= {
            "qr_svg": qr.svg(uri),
            "secret_plain": secret,
            "secret_groups": [secret[start : start + 4] for start in range(0, len(secret), 4)],
            "otpauth_uri": uri,
        }
    return context


@require_POST
@works_without_mfa
def resend_enrolment(request: HttpRequest) -> HttpResponse:
    """Mail the code of this enrolment again."""
    enrolment = _enrolment(request)
    if enrolment is None:
        return _enrolment_is_over(request)
    _send(request, enrolment)
    return redirect("mfa:complete_activation")


# --- the assisted reset -------------------------------------------------------------------------


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def confirm_reset(request: HttpRequest) -> HttpResponse:
    """Let a member confirm, with the code of a mail, the reset that an owner or staff has started. Signs nobody in."""
    form = ConfirmResetForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        user = mailbox.find_user(form.cleaned_data["identifier"])
        try:
            due = rescue.confirm(user, form.cleaned_data["code"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        else:
            text = _("Confirmed. We will send a code by email at %(at)s UTC; any sign-in with your mode cancels it.")
            messages.success(request, text % {"at": date_format(due, "j F Y, H:i")})
            return redirect("accounts:login")
    return render(request, "mfa/confirm_reset.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def forget_browser(request: HttpRequest, browser_id: UUID) -> HttpResponse:
    """Ask a remembered browser for one-time passwords again."""
    if request.method == "POST":
        if remembered.forget(person(request), browser_id, origin_of(request)):
            messages.success(request, _("That browser is forgotten: its next sign-in needs a one-time password."))
        else:
            messages.warning(request, _("That browser was not remembered any more."))
        return redirect("accounts:sessions")
    return _confirm(
        request,
        title=_("Forget this browser?"),
        icon="lock",
        text=[_("Its next sign-in needs a one-time password again.")],
        button=_("Forget"),
        button_class="danger",
        cancel_url=reverse("accounts:sessions"),
    )


# --- recovery codes -----------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Make recovery codes and show them, this once."""
    user = person(request)
    context: dict[str, object] = {"left": recovery.left(user), "few": recovery.FEW}
    if request.method == "POST":
        try:
            made = recovery.make(user)
        except Refused as refused:
            messages.warning(request, refused.text)
            return redirect("mfa:activate")
        context |= {"codes": made, "text": "\n".join(made), "form": RecoveryCodeForm()}
    return render(request, "mfa/recovery_codes.html", context)


@never_cache
@sensitive_post_parameters("code")
@require_POST
@works_without_mfa
@login_required
@needs_fresh_proof
def confirm_recovery_codes(request: HttpRequest) -> HttpResponse:
    """Let the codes count that were just shown: one of them was typed back."""
    form = RecoveryCodeForm(request.POST)
    status = 400
    if form.is_valid():
        try:
            recovery.confirm(person(request), form.cleaned_data["code"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        else:
            messages.success(request, _("Your recovery codes are ready. Keep them in a safe place."))
            return redirect(_settings_page())
    context = {"form": form, "left": recovery.left(person(request)), "few": recovery.FEW, "retry": True}
    return render(request, "mfa/recovery_codes.html", context, status=status)


# --- changing modes ---------------------------------------------------------------------------


def _confirm(request: HttpRequest, **context: object) -> HttpResponse:
    return render(request, "mfa/confirm.html", {"cancel_url": _settings_page(), **context})


@require_safe
@works_without_mfa
@login_required
@needs_fresh_proof
@asks_for_password
def enable(request: HttpRequest, mode: str) -> HttpResponse:
    """Confirm that a mode is to be enabled; the activation page follows."""
    return _confirm(
        request,
        title=_("Enable the %(mode)s mode?") % {"mode": mode},
        icon="phone" if mode == Mode.AUTHENTICATOR else "mail",
        text=[
            _("You will be asked for your credentials and for a first one-time password."),
            _("When it is done, your other sessions are signed out."),
        ],
        button=_("Enable"),
        button_class="action",
        action_url=reverse("mfa:activate"),
        method="get",
        hidden={"type": mode},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def disable(request: HttpRequest, mode: str) -> HttpResponse:
    """Disable a mode, after a confirmation that says what it means."""
    user = person(request)
    enabled = [factor.mode for factor in modes.enabled(user)]
    unmet = policy.unmet_without(user)
    if mode not in enabled:
        messages.error(request, modes.NotEnabled.message)
        return redirect(_settings_page())
    if request.method == "POST":
        return _disable(request, mode, unmet)
    if closing := unmet(user.modes - {mode}):
        return _still_required(request, modes.StillRequired(), closing)
    others = [other for other in enabled if other != mode]
    if others:
        text = [_("From then on you sign in with: %(modes)s.") % {"modes": ", ".join(others)}]
    else:
        text = [
            _("This is your last mode: multi-factor authentication will be off."),
            _("Your password alone will then open your account, to you and to whoever knows it."),
        ]
    return _confirm(
        request,
        title=_("Disable the %(mode)s mode?") % {"mode": mode},
        icon="warning",
        text=[*text, _("Your other sessions are signed out.")],
        button=_("Disable"),
        button_class="danger",
    )


def _disable(request: HttpRequest, mode: str, unmet: Callable[[frozenset[str]], list[Organization]]) -> HttpResponse:
    try:
        user, left = modes.disable(
            person(request),
            mode,
            # Asked anew below the lock: an owner may require it this very moment.
            may_keep=lambda modes_left: not policy.unmet_without(person(request))(modes_left),
            origin=origin_of(request),
            session_key=request.session.session_key,
        )
    except modes.StillRequired as refused:
        return _still_required(request, refused, unmet(person(request).modes - {mode}))
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect(_settings_page())
    keep_session(request, user)
    if left is None:
        browser.forget_proof(request)
        messages.success(
            request, _("Multi-factor authentication is now off: only your password protects your account.")
        )
    else:
        browser.remember_proof(request, left)
        messages.success(request, _("The %(mode)s mode is disabled.") % {"mode": mode})
    return redirect(_settings_page())


def _still_required(
    request: HttpRequest, refused: modes.StillRequired, organizations: list[Organization]
) -> HttpResponse:
    names = ", ".join(organization.name for organization in organizations)
    messages.error(request, f"{refused.text} {_('It is required by:')} {names}.")
    return redirect(_settings_page())


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def prefer(request: HttpRequest, mode: str) -> HttpResponse:
    """Make an enabled mode the preferred one."""
    if request.method == "POST":
        try:
            modes.prefer(person(request), mode, origin=origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        else:
            messages.success(request, _("Your preferred mode is now %(mode)s.") % {"mode": mode})
        return redirect(_settings_page())
    return _confirm(
        request,
        title=_("Make %(mode)s your preferred mode?") % {"mode": mode},
        icon="lock",
        text=[_("It will be asked for first whenever you sign in, in the browser and on the command line.")],
        button=_("Make Preferred"),
        button_class="primary",
    )

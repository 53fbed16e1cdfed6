"""The pages of the step-up: a recent proof before a sensitive change (SR-22)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import passwords
from accounts.web import kept_forms, pending_sign_in, proofs
from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from accounts.web.redirection import safe_path
from mfa import challenges, factors, modes, step_up
from mfa.models import Challenge
from mfa.web import prompt
from mfa.web.forms import PasswordForm, StepUpByPasskeyForm, StepUpForm
from organizations import accepted_modes

STEP_UP = "step_up"  # of a session: the id of its challenge
PRACTICE = "practice"  # in a query: the user only tries a mode


@never_cache
@sensitive_post_parameters("otp", "password")
@require_http_methods(["GET", "HEAD", "POST"])
def prove(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Ask for a code, or the password if MFA is off, then redirect back to the sensitive change."""
    next_path = safe_path(request.POST.get("next") or request.GET.get("next")) or prompt.settings_page()
    if not request.user.mfa_is_on:
        return _prove_by_password(request, next_path)
    weakest = _weakest_accepted(request)
    challenge = _challenge(request)
    by_recovery = "recovery" in request.GET and not weakest
    form_class = prompt.form_class(request, StepUpForm, StepUpByPasskeyForm)
    form = bound(request, form_class, initial={"next": next_path}, recovery=by_recovery, only_modes=bool(weakest))
    if form.is_valid():
        with refusals_on(request, form, "otp"):
            answer = challenges.answer(challenge, form.cleaned_data["otp"], origin_of(request))
            request.session.pop(STEP_UP, None)
            proofs.remember_proof(request, answer.factor, answer.proof)
            if PRACTICE in request.GET:
                messages.success(request, _("It works. This is how you will sign in."))
            return _on(request, next_path)
        challenge = _challenge(request)
    if prompt.is_for_other_mode(form, challenge, by_recovery=by_recovery):
        return _back(request)
    context = {
        "next": next_path,
        "by_recovery": by_recovery,
        "is_practice": PRACTICE in request.GET,
        "accepted": weakest,
        "accepted_in_words": accepted_modes.in_words(weakest) if weakest else "",
        **prompt.prompt_context(challenge, origin_of(request), step_up.accepted_of(request.user, weakest)),
    }
    if not context["refusal"]:
        prompt.explain(form, challenge)
    return render_form(request, "mfa/step_up.html", form, **context)


def _challenge(request: AuthenticatedHttpRequest) -> Challenge:
    """Return this session's step-up in an accepted mode, or create one. The user has MFA on."""
    accepted = step_up.accepted_of(request.user, _weakest_accepted(request))
    challenge = step_up.find(request.session.get(STEP_UP), request.user)
    if challenge is None or challenge.mode not in accepted:
        challenge = step_up.begin(request.user, accepted, origin_of(request))
        request.session[STEP_UP] = str(challenge.pk)
    return challenge


def _weakest_accepted(request: HttpRequest) -> str:
    """Return the weakest mode that the step-up takes, blank for any. To alter it opens nothing: the policy decides."""
    weakest = request.POST.get("accepted") or request.GET.get("accepted", "")
    return weakest if weakest in modes.ALL else ""


def _on(request: AuthenticatedHttpRequest, path: str) -> HttpResponse:
    """Redirect to where the proof was asked for; say so if a form that was sent there is shown once more."""
    if kept_forms.waits_at(request, path):
        messages.warning(request, _("Thank you. Nothing has been done yet: check the page and confirm once more."))
    return redirect(path)


def _prove_by_password(request: AuthenticatedHttpRequest, next_path: str) -> HttpResponse:
    form = bound(request, PasswordForm, initial={"next": next_path})
    if form.is_valid():
        with refusals_on(request, form, "password"):
            passwords.confirm(request.user, form.cleaned_data["password"])
            proofs.remember_password(request)
            return _on(request, next_path)
    return render_form(request, "mfa/step_up_by_password.html", form)


@require_POST
def practise(request: AuthenticatedHttpRequest, mode: str) -> HttpResponse:
    """Let the user try an enabled mode at the real prompt. The factor notes when it was proven."""
    if mode not in request.user.modes:
        messages.error(request, factors.NotEnabled.message)
        return redirect(prompt.settings_page())
    challenge = step_up.begin(request.user, [mode], origin_of(request))
    request.session[STEP_UP] = str(challenge.pk)
    pending_sign_in.mail_if_due(request, challenge)
    return redirect(reverse("mfa:step_up", query={PRACTICE: "", "next": prompt.settings_page()}))


@require_POST
def send(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Mail the code of this step-up."""
    if request.user.mfa_is_on:
        prompt.send(request, _challenge(request))
    return _back(request)


@require_POST
def switch(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Use another enabled mode for this step-up only."""
    if request.user.mfa_is_on:
        pending_sign_in.mail_if_due(request, prompt.switch(request, _challenge(request)))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    query = {"next": safe_path(request.POST.get("next"))}
    if weakest := _weakest_accepted(request):
        query["accepted"] = weakest
    return redirect(reverse("mfa:step_up", query=query))

"""Helpers that the OTP prompt, the step-up and the activation share."""

from collections.abc import Collection

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from accounts import mail_progress
from accounts.identifiers import masked, tag_of
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.web.form_pages import seconds_until
from accounts.web.origin import origin_of
from mfa import challenges, modes
from mfa.code_refusals import RefusedCode
from mfa.models import Challenge
from mfa.web.forms import OtpForm, is_passkey


def settings_page() -> str:
    """Return the URL of the account settings with the MFA section open."""
    return reverse("accounts:settings", query={"mfa": "open"}, fragment="mfa")


def prompt_context(challenge: Challenge, origin: Origin, accepted: Collection[str] | None = None) -> dict[str, object]:
    """Return the template context of a challenge for both prompts. ``accepted``: the modes to offer, None for all."""
    mode = modes.get(challenge.mode)
    return {
        "mode": mode.name,
        "refusal": challenges.why_none_is_checked(challenge, origin),
        "absence": mode.absence_in_words,
        "asked_for": _("One Time Password") if mode.is_typed else capfirst(str(mode.label)),
        "prompt_template": f"{mode.templates}/prompt.html",
        "other_modes": sorted(challenge.user.modes.intersection(accepted or challenge.user.modes) - {mode.name}),
        **mail_context(challenge),
        **mode.prompt_context(challenge),
    }


def explain(form: OtpForm, challenge: Challenge) -> None:
    """Say below the field of a typed code where the user reads it."""
    field = form["otp"]
    field.help_text = field.help_text or modes.get(challenge.mode).where_to_look(challenge)


def mail_context(challenge: Challenge) -> dict[str, object]:
    """Return the template context about the emails of a challenge. One query if its mode is mailed."""
    is_mailed = modes.get(challenge.mode).is_mailed
    return {
        "is_mailed": is_mailed,
        **(progress_context(challenge.pk) if is_mailed and challenge.mails else {}),
        "tag": tag_of(challenge.pk),
        "mails_sent": challenge.mails,
        "last_mail_at": challenge.last_mail_at,
        "resend_in": seconds_until(challenges.resend_at(challenge)),
        "email": masked(challenge.user.email),
        "expires_at": challenge.expires_at,
    }


def progress_context(about: object) -> dict[str, object]:
    """Return the template context about how far the newest mail about a row has got. One query."""
    progress = mail_progress.of(about)
    return {"progress": progress, "progress_token": mail_progress.token_of(about)} if progress else {}


def form_class(request: HttpRequest, typed: type[OtpForm], by_passkey: type[OtpForm]) -> type[OtpForm]:
    """Return the form of a posted answer: what a browser signed with a passkey, or a typed code."""
    return by_passkey if is_passkey(request.POST.get("otp", "")) else typed


def is_for_other_mode(form: OtpForm, challenge: Challenge, *, by_recovery: bool = False) -> bool:
    """Return whether an answer was typed where a passkey is asked for, or the other way round: from an old page."""
    is_typed = by_recovery or modes.get(challenge.mode).is_typed
    return form.is_bound and is_typed == is_passkey(form.data.get("otp", ""))


def ended_by(refused: Refused | None) -> str:
    """Return the message of a wrong code that ended its challenge; blank for any other refusal."""
    return refused.text if isinstance(refused, RefusedCode) and refused.is_last else ""


def send(request: HttpRequest, challenge: Challenge) -> None:
    """Mail the code of a challenge and say so on the next page."""
    try:
        challenges.send_code(challenge, origin_of(request))
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("We have sent the code. It may take a minute or two to arrive."))


def switch(request: HttpRequest, challenge: Challenge) -> Challenge:
    """Use the posted mode for this challenge alone; show a refusal on the next page."""
    try:
        return challenges.switch(challenge, request.POST.get("mode", ""))
    except Refused as refused:
        messages.error(request, refused.text)
        return challenge

"""Pages of the account settings for enabling, disabling and preferring a mode."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.refusals import Refused
from accounts.templatetags.times import in_words
from accounts.web import proofs
from accounts.web.access import AuthenticatedHttpRequest, checks_password, needs_recent_proof
from accounts.web.confirmation import confirm
from accounts.web.origin import origin_of
from accounts.web.session import keep_session
from mfa import factors, modes
from mfa.web.prompt import settings_page
from organizations import policy
from organizations.models import Organization

MAX_ANNOUNCED = 3


@require_safe
@needs_recent_proof
@checks_password
def enable(request: AuthenticatedHttpRequest, mode: str) -> HttpResponse:
    """Ask to confirm that a mode is to be enabled, then lead to the activation page."""
    return confirm(
        request,
        title=_("Enable the %(mode)s mode?") % {"mode": modes.label(mode)},
        icon=modes.get(mode).icon,
        text=[
            _("We will ask for your credentials and a first one-time password.")
            if modes.get(mode).is_typed
            else _("We will ask for your credentials. Then your browser makes a passkey."),
            _("Enabling the mode signs out your other sessions."),
        ],
        button=_("Enable"),
        button_class="action",
        action_url=reverse("mfa:activate"),
        method="get",
        hidden={"type": mode},
        cancel_url=settings_page(),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def disable(request: AuthenticatedHttpRequest, mode: str) -> HttpResponse:
    """Disable a mode, after a confirmation that says what will happen."""
    user = request.user
    enabled = [factor.mode for factor in factors.enabled(user)]
    policies = policy.policies_of(user)
    if mode not in enabled:
        messages.error(request, factors.NotEnabled.message)
        return redirect(settings_page())
    if request.method == "POST":
        return _disable(request, mode, policies)
    if unmet := policies.blocking(user.modes - {mode}):
        return _still_required(request, factors.StillRequired(), unmet)
    others = [other for other in enabled if other != mode]
    if others:
        text = [
            _("You will then sign in with: %(modes)s.") % {"modes": ", ".join(modes.label(other) for other in others)}
        ]
    else:
        text = [
            _("This is your last mode: multi-factor authentication will be off."),
            _("Anyone who knows your password will then be able to sign in."),
        ]
    return confirm(
        request,
        title=_("Disable the %(mode)s mode?") % {"mode": modes.label(mode)},
        text=[
            *text,
            *_announced(policies.announcing(user.modes - {mode})),
            _("Your other sessions will be signed out."),
        ],
        button=_("Disable"),
        button_class="danger",
        cancel_url=settings_page(),
    )


def _announced(organizations: list[Organization]) -> list[str]:
    """Return sentences about the organizations that will be closed to the user from a date on, nearest date first."""
    text = _(
        "From %(at)s, %(name)s requires multi-factor authentication. "
        "Without an accepted mode, you cannot open %(name)s."
    )
    return [
        text % {"at": in_words(row.mfa_required_at), "name": row.name}
        for row in organizations[:MAX_ANNOUNCED]
        if row.mfa_required_at
    ]


def _disable(request: AuthenticatedHttpRequest, mode: str, policies: policy.Policies) -> HttpResponse:
    try:
        disabled = factors.disable(
            request.user,
            mode,
            # Checked again under the lock: an owner may have required MFA meanwhile.
            may_keep=lambda modes_left: not policy.policies_of(request.user).blocking(modes_left),
            origin=origin_of(request),
            session_key=request.session.session_key,
        )
    except factors.StillRequired as refused:
        return _still_required(request, refused, policies.blocking(request.user.modes - {mode}))
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect(settings_page())
    keep_session(request, disabled.user)
    if disabled.remaining is None:
        proofs.forget_proof(request)
        text = _("Multi-factor authentication is now off. Only your password protects your account.")
        messages.success(request, text)
    else:
        proofs.forget_mode(request, mode, disabled.remaining)
        messages.success(request, _("The %(mode)s mode is disabled.") % {"mode": modes.label(mode)})
    # The list of passkeys, empty now, tells the browser so.
    return redirect(reverse("mfa:passkeys") if modes.get(mode).has_several else settings_page())


def _still_required(
    request: AuthenticatedHttpRequest, refused: factors.StillRequired, organizations: list[Organization]
) -> HttpResponse:
    names = ", ".join(organization.name for organization in organizations)
    required_by = _("It is required by:")
    messages.error(request, f"{refused.text} {required_by} {names}.")
    return redirect(settings_page())


@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def prefer(request: AuthenticatedHttpRequest, mode: str) -> HttpResponse:
    """Make an enabled mode the preferred one."""
    if request.method != "POST":
        return confirm(
            request,
            title=_("Make %(mode)s your preferred mode?") % {"mode": modes.label(mode)},
            icon="lock",
            text=[
                _("We will ask for this mode first whenever you sign in, in the browser and at the command line.")
                if modes.get(mode).is_typed
                else _(
                    "We will ask for this mode first whenever you sign in with your password. The command line cannot "
                    "use it: it asks for another mode of yours, or for a code that a page of this portal shows."
                )
            ],
            button=_("Make Preferred"),
            cancel_url=settings_page(),
        )
    try:
        factors.prefer(request.user, mode, origin=origin_of(request))
    except Refused as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("Your preferred mode is now %(mode)s.") % {"mode": modes.label(mode)})
    return redirect(settings_page())

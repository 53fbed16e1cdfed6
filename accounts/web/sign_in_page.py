"""The sign-in page: credentials, and beside them a passkey, which stands for all of them; and the sign-in itself."""

import json
from datetime import datetime

from django.db.models import OuterRef
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts import signin
from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.web import pending_sign_in, proofs
from accounts.web.form_pages import render_form
from accounts.web.forms import SignInForm
from accounts.web.origin import origin_of
from accounts.web.session import empty_session, start_session
from mfa import passkey_sign_in
from organizations import policy

TEMPLATE = "accounts/login.html"
FORBIDDEN = "remembering_forbidden"  # of a user: an organization forbids remembered browsers


def sign_in(request: HttpRequest, identifier: str, password: str, next_path: str) -> HttpResponse:
    """Sign in with credentials. If MFA is on, redirect to the OTP prompt.

    Raise what ``signin.check_credentials`` raises.
    """
    annotations = {FORBIDDEN: policy.remembering_is_forbidden(OuterRef("pk"))}
    user = signin.check_credentials(identifier, password, origin_of(request), annotations=annotations)
    if user.mfa_is_on:
        may_remember = not getattr(user, FORBIDDEN)
        if may_remember and pending_sign_in.sign_in_remembered(request, user):
            return redirect(next_path or "accounts:dashboard")
        pending_sign_in.begin(request, user, next_path=next_path, may_remember=may_remember)
        return redirect("mfa:otp_prompt")
    _start(request, user)
    proofs.remember_password(request)
    return redirect(next_path or "accounts:dashboard")


def sign_in_newcomer(request: HttpRequest, user: User, *, typed_at: datetime) -> None:
    """Sign in a user who typed a new account's password into this browser, at ``typed_at``, and proved its mailbox."""
    _start(request, user)
    proofs.remember_password(request, at=typed_at)


def _start(request: HttpRequest, user: User) -> None:
    empty_session(request)
    start_session(request, signin.finish_without_code(user, origin_of(request), channel=Channel.BROWSER))


def browser_secret(request: HttpRequest) -> str:
    """Return a secret of this browser: that of its CSRF cookie, which stays until a sign-in."""
    get_token(request)  # makes one, if there is none
    return str(request.META["CSRF_COOKIE"])


def _passkey_options(request: HttpRequest) -> dict[str, str]:
    return {"passkey_options": json.dumps(passkey_sign_in.options(browser_secret(request)))}


def render_sign_in(request: HttpRequest, form: SignInForm) -> HttpResponse:
    """Render the page with the form of credentials. No query."""
    return render_form(request, TEMPLATE, form, **_passkey_options(request))


def render_refused_passkey(
    request: HttpRequest, refused: Refused, *, next_path: str, unknown: dict[str, str] | None
) -> HttpResponse:
    """Render the page with the refusal of a passkey. ``unknown`` is for the authenticator: that it no longer works."""
    form = SignInForm(initial={"next": next_path})
    context = {
        "form": form,
        "refusal": refused.text,
        "unknown": json.dumps(unknown) if unknown else "",
        "action": reverse("accounts:login"),  # the page has another address
    }
    status = 429 if refused.retry_at else 400
    return render(request, TEMPLATE, {**context, **_passkey_options(request)}, status=status)

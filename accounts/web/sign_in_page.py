"""The sign-in page: credentials, and beside them a passkey, which stands for all of them."""

import json

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse

from accounts.refusals import Refused
from accounts.web.form_pages import render_form
from accounts.web.forms import SignInForm
from mfa import passkey_sign_in

TEMPLATE = "accounts/login.html"


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

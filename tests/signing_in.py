"""Signing in with Django's test client."""

import json
from base64 import urlsafe_b64encode

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.tests.factories import PASSWORD
from accounts.web import pending_sign_in
from mfa.models import Challenge
from tests.codes import app_code, mailed_code
from tests.pages import text_of

LOGIN = "/account/login"
OTP = "/account/login/otp"


def give_credentials(client: Client, identifier: str, password: str = PASSWORD, **fields: str) -> HttpResponse:
    """Send the sign-in form."""
    return client.post(LOGIN, {"identifier": identifier, "password": password, **fields})


def sign_in(client: Client, user: User) -> HttpResponse:
    """Sign in, with the code of the app or of the email where one is due."""
    response = give_credentials(client, user.email)
    user.refresh_from_db()
    if user.preferred_mode:
        otp = app_code(user) if user.preferred_mode == "authenticator" else mailed_code()
        response = client.post(OTP, {"otp": otp})
    assert response.status_code == 302, text_of(response)
    return response


def pending_sign_in_of(client: Client) -> Challenge:
    """Return the sign-in that a browser's cookie names."""
    request = HttpRequest()
    request.COOKIES = {name: cookie.value for name, cookie in client.cookies.items()}
    return Challenge.objects.get(pk=pending_sign_in.read(request).challenge)


def put_sign_in(client: Client, challenge_id: str) -> None:
    """Let a browser's cookie name another sign-in, as only the portal itself could."""
    name = pending_sign_in.COOKIE
    value = urlsafe_b64encode(json.dumps({"challenge": challenge_id}).encode()).decode()
    client.cookies[name] = signing.get_cookie_signer(salt=name + name).sign(value)


def open_sign_ins(user: User) -> list[Challenge]:
    """Return the sign-ins of a user that wait for a code."""
    begun = Challenge.objects.filter(user=user, purpose="sign_in").select_related("user")
    return [challenge for challenge in begun if challenge.is_open(timezone.now())]


def is_signed_in(client: Client) -> bool:
    """Return whether a page of the signed-in user opens."""
    return client.get("/account/view").status_code == 200

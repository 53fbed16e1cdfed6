"""Signing in with Django's test client."""

from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from accounts.tests.factories import PASSWORD
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


def is_signed_in(client: Client) -> bool:
    """Return whether a page of the signed-in user opens."""
    return client.get("/account/view").status_code == 200

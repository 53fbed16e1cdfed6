"""The codes that a user reads: in the authenticator app, in an email."""

import re

import pyotp
from django.utils import timezone

from accounts.models import User
from mfa import codes
from mfa.models import Factor
from tests.emails import read_mail


def app_code(user: User, *, step: int = 0) -> str:
    """Return the code that the user's authenticator app shows, ``step`` time steps from now."""
    secret = Factor.objects.get(user=user, mode="authenticator").secret
    return pyotp.HOTP(codes.base32(secret)).at(codes.step_at(timezone.now()) + step)


def mailed_code() -> str:
    """Return the code in the newest email that has one."""
    for message in reversed(read_mail()):
        if found := re.match(r"([0-9]{6}|[0-9A-Z]{3}(?:-[0-9A-Z]{3})+) is your", message.body):
            return found[1]
    raise AssertionError("no mail with a code")

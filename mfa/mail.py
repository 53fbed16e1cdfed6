"""Composes the mail that carries a one-time password."""

from django.core.mail import EmailMultiAlternatives

from accounts.mailing import compose
from mfa import codes
from mfa.models import Challenge


def one_time_password(challenge: Challenge) -> EmailMultiAlternatives:
    """Tell the code of a challenge, first of all; every mail of one challenge tells the same."""
    return compose(
        "one_time_password",
        to=challenge.user.email,
        code=codes.mailed_code(challenge.secret),
        purpose=challenge.purpose,
        user=challenge.user,
        asked_at=challenge.created_at,
        expires_at=challenge.expires_at,
    )

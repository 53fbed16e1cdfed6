"""Composes the mails that carry codes."""

from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from accounts.compose import compose
from accounts.identifiers import in_groups
from mfa import assisted_reset, codes
from mfa.models import AssistedReset, Challenge


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


def confirm_reset(reset: AssistedReset) -> EmailMultiAlternatives:
    """Ask the mailbox of an account to confirm that its factor is lost."""
    return compose(
        "confirm_reset",
        to=reset.user.email,
        code=in_groups(reset.secret.decode(), 3),
        who=reset.started_by.email if reset.started_by else "",
        authority=reset.authority,
        reason=reset.reason,
        path=reverse("mfa:confirm_reset"),
        hours=assisted_reset.hours_to_wait(),
        expires_at=reset.expires_at,
    )


def reset_ready(reset: AssistedReset) -> EmailMultiAlternatives:
    """Tell the code that stands, once, in place of the lost factor."""
    return compose(
        "reset_ready",
        to=reset.user.email,
        code=in_groups(reset.secret.decode(), 4),
        path=reverse("accounts:login"),
        expires_at=reset.expires_at,
    )

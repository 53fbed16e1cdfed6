"""The mails that carry codes: one function a mail, which says to whom it goes and what its template is told."""

from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone

from accounts import outbox
from accounts.compose import compose
from accounts.identifiers import in_groups, tag_of
from accounts.models import Mail
from accounts.security_log import agent_in_words
from mfa import assisted_reset, challenges, codes
from mfa.models import AssistedReset, Challenge


@outbox.email
def one_time_password(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail the code of a challenge; every mail of one challenge carries the same code."""
    challenge = next(iter(Challenge.objects.select_related("user").filter(pk=mail.about)), None)
    if challenge is None or not challenges.code_is_wanted(challenge):
        return None
    return compose(
        "one_time_password",
        to=challenge.user.email,
        code=codes.mailed_code(challenge.secret),
        purpose=challenge.purpose,
        user=challenge.user,
        tag=tag_of(challenge.pk),
        client=agent_in_words(challenge.agent) if challenge.agent else "",
        is_at_command_line=challenge.is_at_command_line,
        asked_at=challenge.created_at,
        expires_at=challenge.expires_at,
    )


@outbox.email
def command_line_code(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell where to find the code for a sign-in at the command line whose mode cannot be typed."""
    challenge = Challenge.objects.select_related("user").filter(pk=mail.about).first()
    if challenge is None or not challenge.is_open(timezone.now()):
        return None
    return compose(
        "command_line_code",
        to=challenge.user.email,
        path=reverse("mfa:cli_code"),
        client=agent_in_words(challenge.agent),
        ip_address=challenge.ip_address or "?",
        asked_at=challenge.created_at,
        expires_at=challenge.expires_at,
    )


@outbox.email
def confirm_reset(mail: Mail) -> EmailMultiAlternatives | None:
    """Ask the mailbox of an account to confirm that its factor is lost (SR-28)."""
    reset = _open_reset(mail)
    if reset is None or reset.due_at is not None:
        return None
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


@outbox.email
def reset_ready(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail the code that stands, once, in place of the lost factor (SR-28)."""
    reset = _open_reset(mail)
    if reset is None or not reset.is_ready(timezone.now()):
        return None
    code = in_groups(reset.secret.decode(), 4)
    path = reverse("accounts:login")
    return compose("reset_ready", to=reset.user.email, code=code, path=path, expires_at=reset.expires_at)


def _open_reset(mail: Mail) -> AssistedReset | None:
    reset = AssistedReset.objects.select_related("user", "started_by").filter(pk=mail.about).first()
    return reset if reset and reset.is_open(timezone.now()) else None

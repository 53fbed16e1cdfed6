"""Composes the mails of accounts. The tasks load the rows; retries and records are the outbox's."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from accounts import email_change, signin
from accounts.compose import compose
from accounts.identifiers import in_groups, masked
from accounts.models import EmailChange, EmailVerification, SecurityEvent, User
from accounts.security_log import Kind, agent_in_words


def mailbox_code(proof: EmailVerification) -> EmailMultiAlternatives:
    """Tell the code that proves a mailbox."""
    email = proof.email or (proof.user.email if proof.user else "")
    return compose(proof.purpose, to=email, code=in_groups(proof.code, 3), expires_at=proof.expires_at)


def address_taken(user: User) -> EmailMultiAlternatives:
    """Tell the owner of an address that somebody tried to register with it."""
    return compose("address_taken", to=user.email, reset_path=reverse("accounts:password_reset"))


def old_address(change: EmailChange) -> EmailMultiAlternatives:
    """Tell the holder of the old address of a change, with the way to undo it."""
    return compose(
        "old_address",
        to=change.old_email,
        new_email=masked(change.user.email),
        at=change.at,
        until=change.at + settings.EMAIL_CHANGE_UNDO_WINDOW,
        undo_path=reverse("accounts:undo_email_change", args=[email_change.undo_token(change)]),
    )


def security_notice(event: SecurityEvent) -> EmailMultiAlternatives:
    """Tell the owner what happened, when and from where."""
    return compose(
        "security_notice",
        to=event.user.email,
        what=Kind(event.kind).label,
        event=event,
        browser=agent_in_words(event.agent),
        not_me_path=_not_me(event),
        mfa_is_on=event.user.mfa_is_on,
        settings_path=reverse("accounts:settings"),
        reset_path=reverse("accounts:password_reset"),
    )


def _not_me(event: SecurityEvent) -> str:
    if event.kind != Kind.PASSWORD_KNOWN:
        return ""
    return reverse("accounts:not_me", args=[signin.withdrawal_token(event)])

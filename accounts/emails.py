"""The mails of accounts: one function a mail, which says to whom it goes and what its template is told."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from accounts import (
    account_deletion,
    account_parts,
    data_export,
    email_change,
    email_verification,
    notices,
    outbox,
    signin,
)
from accounts.compose import compose
from accounts.identifiers import in_groups, masked, tag_of
from accounts.models import DeletedAccount, EmailChange, EmailVerification, Mail, SecurityEvent
from accounts.notices import Notice
from accounts.security_log import ENDS_SESSIONS, Kind, agent_in_words


@outbox.email
def verification_code(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail the code that proves a mailbox. Each purpose has a template of its own."""
    proof = EmailVerification.objects.select_related("user").filter(pk=mail.about).first()
    if proof is None or not email_verification.is_wanted(proof):
        return None
    to = proof.email or (proof.user.email if proof.user else "")
    return compose(
        proof.purpose, to=to, code=in_groups(proof.code, 3), tag=tag_of(proof.pk), expires_at=proof.expires_at
    )


@outbox.email
def email_taken(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell the owner of an email address that it was used to register another account."""
    if mail.user is None:
        return None
    # A mail that was written before this mail had a tag is about no row.
    tag = tag_of(mail.about) if mail.about else ""
    return compose("email_taken", to=mail.user.email, tag=tag, reset_path=reverse("accounts:password_reset"))


@outbox.email
def email_changed(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell the holder of the old address of an account that it was changed, and how to undo it (SR-29)."""
    change = EmailChange.objects.select_related("user").filter(pk=mail.about, undone_at=None).first()
    if change is None:
        return None
    return compose(
        "email_changed",
        to=change.old_email,
        new_email=masked(change.user.email),
        at=change.at,
        until=change.at + settings.EMAIL_CHANGE_UNDO_WINDOW,
        undo_path=reverse("accounts:undo_email_change", args=[email_change.undo_token(change)]),
    )


@outbox.email
def security_notice(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell the owner of an account what happened to it, when and from where (SR-54)."""
    event = SecurityEvent.objects.select_related("user").filter(pk=mail.about).first()
    is_optional = event is not None and event.kind == Kind.NEW_BROWSER
    if event is None or (is_optional and not notices.are_wanted(event.user, Notice.NEW_BROWSER)):
        return None
    return compose(
        "security_notice",
        to=event.user.email,
        what=Kind(event.kind).label,
        event=event,
        factor_name=event.factor_name,
        ended_sessions=event.kind in ENDS_SESSIONS,
        browser=agent_in_words(event.agent),
        is_withdrawn=event.kind in (Kind.PASSWORD_WITHDRAWN, Kind.EMAIL_CHANGE_UNDONE),
        not_me_path=_not_me_path(event),
        mfa_is_on=event.user.mfa_is_on,
        settings_path=reverse("accounts:settings"),
        notices_path=reverse("accounts:notices") if is_optional else "",
        delete_path=reverse("accounts:delete_account") if event.kind == Kind.DELETION_STOPPED else "",
        reset_path=reverse("accounts:password_reset"),
        **account_parts.notice_context(event),
    )


@outbox.email
def staff_changed(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell an administrator that another account got or lost staff rights."""
    event = SecurityEvent.objects.select_related("user").filter(pk=mail.about).first()
    if event is None or mail.user is None:
        return None
    return compose("staff_changed", to=mail.user.email, what=Kind(event.kind).label, event=event)


@outbox.email
def deletion_asked(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell a user when the account will be deleted, who asked for it, and how to keep it (SR-63)."""
    event = SecurityEvent.objects.select_related("user").filter(pk=mail.about).first()
    if event is None or event.user.deletion_due_at is None:
        return None
    return compose(
        "deletion_asked",
        to=event.user.email,
        event=event,
        browser=agent_in_words(event.agent),
        due_at=event.user.deletion_due_at,
        keep_path=reverse("accounts:keep_account", args=[account_deletion.keep_token(event.user)]),
        reset_path=reverse("accounts:password_reset"),
    )


@outbox.email
def data_exported(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell a user that a copy of their data can be downloaded, and who asked for it (SR-63)."""
    event = SecurityEvent.objects.select_related("user").filter(pk=mail.about).first()
    if event is None:
        return None
    return compose(
        "data_exported",
        to=event.user.email,
        event=event,
        browser=agent_in_words(event.agent),
        until=event.at + data_export.LIFETIME,
        data_path=reverse("accounts:data"),
        reset_path=reverse("accounts:password_reset"),
    )


@outbox.email
def account_deleted(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell the former user that the account is deleted."""
    account = DeletedAccount.objects.filter(pk=mail.about).first()
    return compose("account_deleted", to=account.email, at=account.at) if account else None


def _not_me_path(event: SecurityEvent) -> str:
    if event.kind != Kind.PASSWORD_KNOWN:
        return ""
    return reverse("accounts:not_me", args=[signin.withdrawal_token(event)])

"""Jobs: sending the mails of accounts, and keeping the tables small."""

from celery import shared_task
from django.core.mail import EmailMultiAlternatives

from accounts import email_verification, housekeeping, outbox, security_log, signin
from accounts import emails as mails
from accounts.models import EmailChange, EmailVerification, Mail, SecurityEvent


@outbox.sends("accounts.send_mailbox_code")
def mailbox_code(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail the code that proves a mailbox."""
    proof = EmailVerification.objects.select_related("user").filter(pk=mail.about).first()
    return mails.mailbox_code(proof) if proof and email_verification.is_wanted(proof) else None


@outbox.sends("accounts.tell_address_taken")
def address_taken(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell the owner of an address about an attempt to register with it."""
    return mails.address_taken(mail.user) if mail.user else None


@outbox.sends("accounts.tell_old_address")
def old_address(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell the holder of an account's old address that it has another one, and how to undo it."""
    change = EmailChange.objects.select_related("user").filter(pk=mail.about, undone_at=None).first()
    return mails.old_address(change) if change else None


@outbox.sends("accounts.tell_of_event")
def event(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell the owner of a change to the account."""
    found = SecurityEvent.objects.select_related("user").filter(pk=mail.about).first()
    return mails.security_notice(found) if found else None


@shared_task(name=outbox.BULK_TASK)
def send_bulk() -> None:
    """Send mails of the bulk queue for a moment."""
    outbox.send_bulk()


@shared_task(name="accounts.sweep_outbox")
def sweep_outbox() -> int:
    """Queue again what got stuck."""
    return outbox.sweep()


@shared_task(name="accounts.forget_expired")
def forget_expired() -> int:
    """Delete what has expired."""
    return housekeeping.forget_expired() + security_log.forget_old()


@shared_task(name="accounts.report_unfinished")
def report_unfinished() -> int:
    """Tell owners of sign-ins that a stranger could not finish."""
    return signin.report_unfinished()

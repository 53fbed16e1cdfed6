"""Jobs: sending the mails of accounts, and keeping the tables small."""

from celery import Task, shared_task
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from accounts import housekeeping, outbox, security_log, signin
from accounts import mail as mails
from accounts.models import AddressChange, Mail, MailboxProof, SecurityEvent


def _mailbox_code(mail: Mail) -> EmailMultiAlternatives | None:
    proof = MailboxProof.objects.select_related("user").filter(pk=mail.about).first()
    if proof is None or proof.user is None or not proof.is_open(timezone.now()):
        return None
    return mails.mailbox_code(proof, proof.user)


def _old_address(mail: Mail) -> EmailMultiAlternatives | None:
    change = AddressChange.objects.select_related("user").filter(pk=mail.about, undone_at=None).first()
    return mails.old_address(change) if change else None


def _address_taken(mail: Mail) -> EmailMultiAlternatives | None:
    return mails.address_taken(mail.user) if mail.user else None


def _event(mail: Mail) -> EmailMultiAlternatives | None:
    event = SecurityEvent.objects.select_related("user").filter(pk=mail.about).first()
    return mails.security_notice(event) if event else None


@shared_task(bind=True, name="accounts.send_mailbox_code", max_retries=None)
def send_mailbox_code(self: "Task[..., None]", mail_id: str) -> None:
    """Mail the code that proves a mailbox."""
    outbox.deliver_or_retry(self, mail_id, _mailbox_code)


@shared_task(bind=True, name="accounts.tell_address_taken", max_retries=None)
def tell_address_taken(self: "Task[..., None]", mail_id: str) -> None:
    """Tell the owner of an address about an attempt to register with it."""
    outbox.deliver_or_retry(self, mail_id, _address_taken)


@shared_task(bind=True, name="accounts.tell_old_address", max_retries=None)
def tell_old_address(self: "Task[..., None]", mail_id: str) -> None:
    """Tell the holder of an account's old address that it has another one, and how to undo it."""
    outbox.deliver_or_retry(self, mail_id, _old_address)


@shared_task(bind=True, name="accounts.tell_of_event", max_retries=None)
def tell_of_event(self: "Task[..., None]", mail_id: str) -> None:
    """Tell the owner of a change to the account."""
    outbox.deliver_or_retry(self, mail_id, _event)


@shared_task(name="accounts.sweep_outbox")
def sweep_outbox() -> int:
    """Queue again what got stuck."""
    return outbox.sweep()


@shared_task(name="accounts.forget_expired")
def forget_expired() -> int:
    """Delete what has expired."""
    return housekeeping.forget_expired() + security_log.forget_old()


@shared_task(name="accounts.tell_of_unfinished")
def tell_of_unfinished() -> int:
    """Tell owners of sign-ins that a stranger could not finish."""
    return signin.tell_of_unfinished()

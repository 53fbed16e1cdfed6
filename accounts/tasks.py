"""Scheduled jobs of accounts, and the one that sends bulk mail."""

from celery import shared_task

from accounts import account_deletion, data_export, housekeeping, mail_retention, outbox, security_log


@shared_task(name=outbox.BULK_TASK)
def send_bulk() -> None:
    """Send mails of the bulk queue for ``BULK_TURN_SECONDS``."""
    outbox.send_bulk()


@shared_task(name="accounts.sweep_outbox")
def sweep_outbox() -> int:
    """Queue stuck mails again."""
    return outbox.sweep()


@shared_task(name="accounts.forget_expired")
def forget_expired() -> int:
    """Delete what has expired."""
    return housekeeping.forget_expired() + security_log.forget_old()


@shared_task(name="accounts.delete_due_accounts")
def delete_due_accounts() -> int:
    """Delete the accounts whose waiting time is over."""
    return account_deletion.delete_due()


@shared_task(name=data_export.TASK)
def build_exports() -> int:
    """Build the copies of their data that users wait for."""
    return data_export.build_waiting()


@shared_task(name="accounts.forget_mails")
def forget_mails() -> int:
    """Delete old mails."""
    return mail_retention.forget_old()

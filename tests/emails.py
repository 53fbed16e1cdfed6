"""The emails that the portal sent."""

from django.core import mail
from django.core.mail import EmailMessage

from accounts import outbox
from accounts.models import Mail


def read_mail() -> list[EmailMessage]:
    """Send what is queued, as the worker does, and return every email that was sent."""
    for row in Mail.objects.filter(state=Mail.State.QUEUED).order_by("created_at"):
        outbox.send_here(row)
    return mail.outbox

"""Jobs: sending invitations."""

from celery import Task, shared_task
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from accounts import outbox
from accounts.models import Mail
from organizations import mail as mails
from organizations.models import Invitation


def _invitation(mail: Mail) -> EmailMultiAlternatives | None:
    invitation = Invitation.objects.select_related("organization", "sender").filter(pk=mail.about).first()
    if invitation is None or not invitation.is_open(timezone.now()):
        return None
    return mails.invitation(invitation)


@shared_task(bind=True, name="organizations.send_invitation", max_retries=None)
def send_invitation(self: "Task[..., None]", mail_id: str) -> None:
    """Mail an invitation."""
    outbox.deliver_or_retry(self, mail_id, _invitation)

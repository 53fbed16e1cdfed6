"""Jobs: sending invitations, and telling owners of their organization's policy."""

from celery import Task, shared_task
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from accounts import outbox
from accounts.models import Mail
from organizations import mail as mails
from organizations.models import Invitation, OrganizationEvent


def _invitation(mail: Mail) -> EmailMultiAlternatives | None:
    invitation = Invitation.objects.select_related("organization", "sender").filter(pk=mail.about).first()
    if invitation is None or not invitation.is_open(timezone.now()):
        return None
    return mails.invitation(invitation)


def _policy(mail: Mail) -> EmailMultiAlternatives | None:
    event = OrganizationEvent.objects.select_related("organization", "actor").filter(pk=mail.about).first()
    if event is None or mail.user is None or not event.organization.memberships.filter(user=mail.user).exists():
        return None
    return mails.policy_changed(event, mail.user)


@shared_task(bind=True, name="organizations.tell_of_policy", max_retries=None)
def tell_of_policy(self: "Task[..., None]", mail_id: str) -> None:
    """Tell an owner of a change of policy."""
    outbox.deliver_or_retry(self, mail_id, _policy)


@shared_task(bind=True, name="organizations.send_invitation", max_retries=None)
def send_invitation(self: "Task[..., None]", mail_id: str) -> None:
    """Mail an invitation."""
    outbox.deliver_or_retry(self, mail_id, _invitation)

"""Jobs: sending invitations, and telling owners of their organization's policy."""

from celery import Task, shared_task
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from accounts import outbox
from accounts.models import Mail
from organizations import compliance, reminders
from organizations import mail as mails
from organizations.models import Invitation, OrganizationEvent, Reminder


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


def _reminder(mail: Mail) -> EmailMultiAlternatives | None:
    run = Reminder.objects.select_related("organization").filter(pk=mail.about).first()
    if run is None or mail.user is None or not reminders.is_wanted(run, mail.user):
        return None
    return mails.reminder(run, mail.user)


@shared_task(bind=True, name="organizations.send_reminder", max_retries=None)
def send_reminder(self: "Task[..., None]", mail_id: str) -> None:
    """Remind a member of what an organization asks for."""
    outbox.deliver_or_retry(self, mail_id, _reminder)


@shared_task(name="organizations.fan_out_reminders")
def fan_out_reminders() -> int:
    """Write the mails of open reminders."""
    return reminders.fan_out()


@shared_task(name="organizations.begin_due_reminders")
def begin_due_reminders() -> int:
    """Begin the reminders that a coming date asks for."""
    return reminders.begin_due()


@shared_task(name="organizations.note_compliance")
def note_compliance() -> int:
    """Note today's counts for the chart."""
    return compliance.note_day()

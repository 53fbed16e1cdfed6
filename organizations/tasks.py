"""Jobs: sending invitations, and telling owners of their organization's policy."""

from celery import shared_task
from django.core.mail import EmailMultiAlternatives

from accounts import outbox
from accounts.models import Mail
from organizations import compliance, invitations, membership, policy_changes, reminders
from organizations import emails as mails
from organizations.models import Invitation, OrganizationEvent, Reminder


@outbox.sends(invitations.MAIL_TASK)
def invitation(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail an invitation."""
    found = Invitation.objects.select_related("organization", "sender").filter(pk=mail.about).first()
    if found is None or not invitations.is_wanted(found):
        return None
    return mails.invitation(found)


@outbox.sends(membership.TELL_TASK)
def owners_notice(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell an owner, or whoever was one, of a change of policy or of owners."""
    event = OrganizationEvent.objects.select_related("organization").filter(pk=mail.about).first()
    if event is None or mail.user is None or not mail.user.is_active:
        return None
    return mails.owners_notice(event, mail.user)


@outbox.sends(reminders.MAIL_TASK)
def reminder(mail: Mail) -> EmailMultiAlternatives | None:
    """Remind a member of what an organization asks for."""
    run = Reminder.objects.select_related("organization").filter(pk=mail.about).first()
    if run is None or mail.user is None or not reminders.is_wanted(run, mail.user):
        return None
    return mails.reminder(run, mail.user)


@shared_task(name=reminders.FAN_OUT_TASK)
def fan_out_reminders() -> int:
    """Write the mails of open reminders for a moment."""
    return reminders.fan_out()


@shared_task(name="organizations.begin_due_reminders")
def begin_due_reminders() -> int:
    """Begin the reminders that a coming date asks for."""
    return reminders.begin_due()


@shared_task(name="organizations.end_rehearsals")
def end_rehearsals() -> int:
    """End the rehearsals whose time is over."""
    return policy_changes.end_rehearsals()


@shared_task(name="organizations.note_compliance")
def note_compliance() -> int:
    """Note today's counts for the chart."""
    return compliance.note_day()

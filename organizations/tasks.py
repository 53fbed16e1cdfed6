"""Scheduled jobs of organizations, and the one that writes the mails of reminders."""

from celery import shared_task

from organizations import compliance, deletion, event_retention, member_runs, policy_changes, reminders
from organizations.bulk_exemptions import EXEMPTIONS
from organizations.removals import REMOVALS


@shared_task(name=reminders.FAN_OUT_TASK)
def fan_out_reminders() -> int:
    """Write the mails of open reminders for a moment."""
    return reminders.fan_out()


@shared_task(name=REMOVALS.task)
def remove_members() -> int:
    """Continue the removals of members for a moment."""
    return member_runs.go_on(REMOVALS)


@shared_task(name=EXEMPTIONS.task)
def exempt_members() -> int:
    """Continue the exemptions of members for a moment."""
    return member_runs.go_on(EXEMPTIONS)


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


@shared_task(name="organizations.forget_old_events")
def forget_old_events() -> int:
    """Delete old events that no evidence sheet quotes, and organizations that were deleted so long ago."""
    return event_retention.forget_old() + deletion.forget_deleted()


@shared_task(name="organizations.delete_due")
def delete_due() -> int:
    """Delete the organizations whose waiting time is over."""
    return deletion.delete_due()

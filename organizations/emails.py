"""The mails of organizations: one function a mail, which says to whom it goes and what its template is told."""

from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from accounts import outbox
from accounts.compose import compose
from accounts.models import Mail
from accounts.security_log import agent_in_words
from organizations import invitations, reminders
from organizations.models import Invitation, OrganizationEvent, Reminder


@outbox.email
def invitation(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail who invites to which organization and in which role, and the link that accepts."""
    found = Invitation.objects.select_related("organization", "sender").filter(pk=mail.about).first()
    if found is None or not invitations.is_wanted(found) or not found.sealed_code:  # its key was lost
        return None
    return compose(
        "invitation",
        to=found.email,
        organization=found.organization.name,
        sender=found.sender_name,
        role_in_words=found.role_in_words,
        link=invitations.link_of(found),
        expires_at=found.expires_at,
    )


@outbox.email
def owners_notice(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell an owner, or a former one, what was changed, by whom, when and from where (SR-54)."""
    event = OrganizationEvent.objects.select_related("organization").filter(pk=mail.about).first()
    if event is None or mail.user is None or not mail.user.is_active:
        return None
    return compose(
        "owners_notice",
        to=mail.user.email,
        organization=event.organization.name,
        what=event.what,
        subject=event.subject_in_words,
        who=event.who,
        at=event.at,
        address=event.ip_address,
        browser=agent_in_words(event.agent),
        path=reverse("accounts:dashboard") if event.organization.deleted_at else event.organization.get_absolute_url(),
    )


@outbox.email
def reminder(mail: Mail) -> EmailMultiAlternatives | None:
    """Tell a member what an organization asks for and from when, or that it no longer does."""
    run = Reminder.objects.select_related("organization").filter(pk=mail.about).first()
    member = mail.user
    if run is None or member is None or not reminders.is_wanted(run, member):
        return None
    organization = run.organization
    if run.kind == Reminder.Kind.LIFTED:
        return compose("requirement_lifted", to=member.email, organization=organization.name)
    return compose(
        "reminder",
        to=member.email,
        organization=organization.name,
        required=organization.mfa_required,
        required_at=organization.mfa_required_at,
        days_left=organization.days_left,
        modes=organization.accepted_modes_label if organization.accepted_modes else "",
        has_another=member.mfa_is_on,
        activate_path=organization.activation_path,
        required_path=reverse("organizations:asked_of_me"),
        help_path=reverse("help_mfa"),
        notices_path=reverse("accounts:notices") if run.kind in reminders.OPTIONAL else "",
    )

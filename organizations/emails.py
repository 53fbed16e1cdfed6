"""Composes the mails of organizations."""

from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from accounts.compose import compose
from accounts.models import User
from accounts.security_log import agent_in_words
from organizations import invitations
from organizations.models import Invitation, OrganizationEvent, Reminder


def invitation(invitation: Invitation) -> EmailMultiAlternatives:
    """Tell who invites to what, and the way in."""
    sender = invitation.sender
    return compose(
        "invitation",
        to=invitation.email,
        organization=invitation.organization.name,
        sender=(sender.name or sender.email) if sender else "",
        link=invitations.link_of(invitation),
        expires_at=invitation.expires_at,
    )


def owners_notice(event: OrganizationEvent, owner: User) -> EmailMultiAlternatives:
    """Tell an owner what was changed, by whom, when and from where (SR-54)."""
    return compose(
        "owners_notice",
        to=owner.email,
        organization=event.organization.name,
        what=event.what,
        subject=event.subject,
        who=event.who,
        at=event.at,
        address=event.ip_address,
        browser=agent_in_words(event.agent),
        path=event.organization.get_absolute_url(),
    )


def reminder(run: Reminder, member: User) -> EmailMultiAlternatives:
    """Remind a member of what an organization asks for, and from when; or tell that it no longer does."""
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
        mode=organization.accepted_modes,
        has_another=member.mfa_is_on,
        activate_path=organization.activation_path,
        required_path=reverse("organizations:asked_of_me"),
        help_path=reverse("help_mfa"),
    )

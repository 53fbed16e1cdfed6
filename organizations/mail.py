"""Composes the mails of organizations."""

from django.core.mail import EmailMultiAlternatives

from accounts.mailing import compose
from organizations import invitations
from organizations.models import Invitation


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

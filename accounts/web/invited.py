"""The invitation that brought a user to the portal."""

from django.http import HttpRequest

from accounts.web.cookies import invitation_of
from organizations import invitations


def invited_email(request: HttpRequest) -> str:
    """Return the address of the invitation that this browser has opened, or a blank. One query if there is one."""
    code = invitation_of(request)
    invitation = invitations.find(code) if code else None
    return invitation.email if invitation else ""

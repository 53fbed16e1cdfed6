"""Owners help members who have lost their factor (SR-28). ``mfa.assisted_reset`` has the rules of the reset."""

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from mfa import assisted_reset
from organizations import membership
from organizations.models import EventKind, Membership


class OnlyByStaff(Refused):
    """Whoever runs the portal is nobody's member to reset."""

    message = gettext_lazy("This account belongs to the staff of the portal: only other staff can start its reset.")


def _member(owner: Membership, user_id: UUID) -> User:
    """Give a member of the owner's organization. Raises ``NotAMember``."""
    found = Membership.objects.select_related("user").filter(organization=owner.organization, user=user_id).first()
    if found is None:
        raise membership.NotAMember
    return found.user


def start(owner: Membership, user_id: UUID, *, reason: str, origin: Origin) -> None:
    """Start the assisted reset of a member. The door has asked the owner for a fresh proof by a factor.

    Raises ``RoleMissing``, ``NotAMember``, ``OnlyByStaff`` or what ``rescue.start`` raises.
    """
    membership.still_owner(owner)
    user = _member(owner, user_id)
    if user.is_staff:
        raise OnlyByStaff
    authority = _("owner of %(name)s") % {"name": owner.organization.name}
    assisted_reset.start(user, by=owner.user, authority=authority, reason=reason, origin=origin)
    membership.record(
        owner.organization,
        owner.user,
        EventKind.ASSISTED_RESET_STARTED,
        origin,
        subject=f"{user.email}: {reason}"[:254],
    )

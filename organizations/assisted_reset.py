"""Assisted reset by an owner, for a member who has lost their factor (SR-28).

``mfa.assisted_reset`` has the rules of the reset itself.
"""

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import languages
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Intervention, Origin
from mfa import assisted_reset
from mfa.models import AssistedReset
from organizations import membership
from organizations.models import EventKind, Membership, Organization, Role


class NotOurs(Refused):
    """There is no open reset, or no owner of this organization has started it."""

    message = gettext_lazy("No owner of this organization has started a reset that still runs.")


class OnlyByStaff(Refused):
    """The member is staff of the portal: an owner cannot start their reset."""

    message = gettext_lazy("This member works for the portal's operator. Only other staff can start their reset.")


def _member(owner: Membership, user_id: UUID) -> User:
    """Return a member of the owner's organization. Raise ``NotAMember``."""
    found = Membership.objects.select_related("user").filter(organization=owner.organization, user=user_id).first()
    if found is None:
        raise membership.NotAMember
    return found.user


def start(owner: Membership, user_id: UUID, *, reason: str, origin: Origin) -> None:
    """Start the assisted reset of a member. The caller has checked that the owner proved a factor recently.

    Raise ``RoleMissing``, ``NotAMember``, ``OnlyByStaff`` or what ``mfa.assisted_reset.start`` raises.
    """
    membership.still_owner(owner)
    user = _member(owner, user_id)
    if user.is_staff:
        raise OnlyByStaff
    with languages.of(user):
        authority = _("owner of %(name)s") % {"name": owner.organization.name}
    assisted_reset.start(user, by=owner.user, authority=authority, reason=reason, origin=origin)
    membership.record(
        owner.organization,
        owner.user,
        EventKind.ASSISTED_RESET_STARTED,
        origin,
        subject=f"{user.email}: {reason}"[:254],
    )


def is_ours(organization: Organization, reset: AssistedReset) -> bool:
    """Return whether an owner of this organization has started a reset: only such a one is its owners' to cancel."""
    owners = Membership.objects.filter(organization=organization, role=Role.OWNER)
    return reset.started_by_id is not None and owners.filter(user=reset.started_by_id).exists()


def cancel(owner: Membership, user_id: UUID, origin: Origin) -> None:
    """Cancel the open reset of a member. Raise ``RoleMissing``, ``NotAMember`` or ``NotOurs``."""
    membership.still_owner(owner)
    user = _member(owner, user_id)
    reset = assisted_reset.open_of(user)
    if reset is None or not is_ours(owner.organization, reset):
        raise NotOurs
    with languages.of(user):
        authority = _("owner of %(name)s") % {"name": owner.organization.name}
    assisted_reset.cancel(user, origin, by=Intervention(owner.user.email, authority))
    kind = EventKind.ASSISTED_RESET_CANCELLED
    membership.record(owner.organization, owner.user, kind, origin, subject=user.email)

"""Invitations: a mailed code that lets the holder of one address join, once (SR-43)."""

import secrets
from hashlib import sha256
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import outbox
from accounts.encryption import seal, unseal
from accounts.identifiers import key_of
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import membership
from organizations.models import EventKind, Invitation, Membership, Organization, Role
from organizations.policy import MfaMissing

MAIL_TASK = "organizations.send_invitation"
ADDRESS_AT_MOST = 254
CODE_PARAMETER = "code"
CODE_PLACE = "{inviteCode}"
# Where an invitation can be accepted; both generations of the command-line client name one of them.
LINK_PATHS = ("/account/accept-invite", "/accept-invite")


class AlreadyMember(Refused):
    """There is nothing to invite to."""

    message = _("This person already belongs to the organization.")


class NoSuchInvitation(Refused):
    """Unknown, accepted or withdrawn."""

    message = _("There is no such pending invitation.")


class NotAnAddress(Refused):
    """Nothing that a mail could be sent to."""

    message = _("This is not an email address.")


class NoSuchRole(Refused):
    """A number that means no role."""

    message = _("There is no such role. Use 5 for a member, 2 for an admin or 1 for an owner.")


class InvitationOver(Refused):
    """Unknown, accepted, withdrawn or expired alike."""

    message = _("This invitation is not valid any more. Ask for a new one.")


class AnotherAddress(Refused):
    """The invitation was mailed to an address that is not the account's."""

    message = _("This invitation was sent to another email address. Sign in with the account of that address.")


def _digest(code: str) -> str:
    # 192 random bits need no slow hash.
    return sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def send(manager: Membership, email: str, *, role: Role, origin: Origin, link_template: str = "") -> Invitation:
    """Invite an address; an earlier open invitation of it is replaced.

    ``link_template`` is where the client wants the mail to lead, with ``{inviteCode}`` in it; one that does not
    lead to a page of this portal is not followed. Raises ``RoleMissing``, ``NotAnAddress`` or
    ``AlreadyMember``.
    """
    if role.rank > Role(manager.role).rank:
        raise membership.RoleMissing
    try:
        validate_email(email)
    except ValidationError:
        raise NotAnAddress from None
    if len(key_of(email)) > ADDRESS_AT_MOST:
        raise NotAnAddress
    organization, key, now = manager.organization, key_of(email), timezone.now()
    if Membership.objects.filter(organization=organization, user__email_key=key).exists():
        raise AlreadyMember
    with transaction.atomic():
        # Two who invite one address at once: the second waits here, and replaces.
        Organization.objects.select_for_update().get(pk=organization.pk)
        pending(organization).filter(email_key=key).update(revoked_at=now)
        code = secrets.token_urlsafe(24)
        invitation = Invitation.objects.create(
            organization=organization,
            sender=manager.user,
            email=email,
            email_key=key,
            role=role,
            digest=_digest(code),
            sealed_code=seal(code.encode()),
            link_path=_path_of(link_template),
            expires_at=now + settings.INVITATION_LIFETIME,
        )
        membership.record(organization, manager.user, EventKind.INVITED, origin, subject=email)
        outbox.post(MAIL_TASK, user=None, about=invitation.pk)
    return invitation


def _path_of(link_template: str) -> str:
    for path in LINK_PATHS:
        if link_template == f"{settings.SITE_URL}{path}?{CODE_PARAMETER}={CODE_PLACE}":
            return path
    return LINK_PATHS[0]


def link_of(invitation: Invitation) -> str:
    """Give the address that the mail leads to."""
    code = unseal(invitation.sealed_code).decode()
    return f"{settings.SITE_URL}{invitation.link_path}?{CODE_PARAMETER}={code}"


def pending(organization: Organization) -> QuerySet[Invitation]:
    """Give the invitations that were neither accepted nor withdrawn, by address."""
    return Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None).order_by("email_key")


def withdraw(manager: Membership, invitation_id: UUID, origin: Origin) -> None:
    """End an invitation before it was accepted. Raises ``NoSuchInvitation``."""
    with transaction.atomic():
        invitation = pending(manager.organization).filter(pk=invitation_id).select_for_update().first()
        if invitation is None:
            raise NoSuchInvitation
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])
        membership.record(
            manager.organization, manager.user, EventKind.INVITATION_WITHDRAWN, origin, subject=invitation.email
        )


def find(code: str) -> Invitation | None:
    """Find the open invitation of a code, with its organization."""
    invitation = Invitation.objects.select_related("organization").filter(digest=_digest(code)).first()
    return invitation if invitation and invitation.is_open(timezone.now()) else None


def accept(user: User, code: str, origin: Origin) -> Organization:
    """Make ``user`` a member of the organization, which is given. The code came by mail: it proves the mailbox too.

    Raises ``InvitationOver``, ``AnotherAddress``, ``AlreadyMember`` or ``MfaMissing``; the invitation stays open.
    """
    refusal: Refused | None = None
    now = timezone.now()
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        invitation = Invitation.objects.select_for_update().filter(digest=_digest(code)).first()
        if invitation is None or not invitation.is_open(now):
            raise InvitationOver
        if invitation.email_key != user.email_key:
            raise AnotherAddress
        if user.email_verified_at is None:
            user.email_verified_at = now
            user.save(update_fields=["email_verified_at"])
        refusal = _join(user, invitation, origin)

    # Raised out here: the mailbox is proven even where MFA has to be activated first.
    if refusal:
        raise refusal
    return invitation.organization


def _join(user: User, invitation: Invitation, origin: Origin) -> Refused | None:
    organization = invitation.organization
    if organization.mfa_required and not user.mfa_is_on:
        return MfaMissing()
    if Membership.objects.filter(organization=organization, user=user).exists():
        return AlreadyMember()
    Membership.objects.create(organization=organization, user=user, role=invitation.role)
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    membership.record(organization, user, EventKind.JOINED, origin, subject=user.email)
    return None

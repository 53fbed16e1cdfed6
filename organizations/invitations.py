"""Invitations: a mailed code that lets the holder of one address join, once (SR-43)."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import outbox, throttles
from accounts.encryption import seal, unseal
from accounts.identifiers import digest_of, is_compared_as_written, key_of
from accounts.models import Mail, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.throttles import Slot
from organizations import membership
from organizations.models import MANAGERS, EventKind, Invitation, Membership, Organization, Role
from organizations.policy import MfaMissing

MAX_EMAIL_LENGTH = 254
MAX_INVITATIONS_AT_ONCE = 2000
RESEND_PAUSE = timedelta(minutes=1)
MAX_PER_DAY = 20  # invitations of one organization to one address
CODE_BYTES = 24  # written in hex: a command line takes what begins with a dash for an option
CODE_PARAMETER = "code"
CODE_PLACE = "{inviteCode}"
# Where an invitation can be accepted; both generations of the command-line client name one of them.
LINK_PATHS = ("/account/accept-invite", "/accept-invite")


class AlreadyMember(Refused):
    """There is nothing to invite to."""

    message = _("This person already belongs to the organization.")


class InvitedAbove(Refused):
    """Somebody above has decided otherwise."""

    message = _("This person is invited with a role above yours.")


class InvitedLately(Refused):
    """One pause for an address, whichever way it is invited."""

    message = _("We have just sent an invitation to this address.")


class SenderGone(Refused):
    """The invitation's sender can no longer grant this role."""

    message = _("Whoever sent this invitation may no longer give that role. Delete it and invite anew.")


class NoSuchInvitation(Refused):
    """Unknown, accepted or withdrawn."""

    message = _("There is no such pending invitation.")


class NotAnId(Refused):
    """Something else was given where an invitation's id belongs, mostly an email address."""

    message = _("An invitation is withdrawn by its id, not by an email address: invites list shows the ids.")


class NotAnEmail(Refused):
    """Nothing that a mail could be sent to."""

    message = _("This is not an email address.")


class NoSuchRole(Refused):
    """A number that means no role."""

    message = _("There is no such role. Use 5 for a member, 2 for an admin or 1 for an owner.")


class TooManyAtOnce(Refused):
    """More than one page of addresses."""

    message = _("These are too many addresses at once. Invite at most 2,000 and then the next ones.")


class InvitationOver(Refused):
    """Unknown, accepted, withdrawn or expired alike."""

    message = _("This invitation is not valid any more. Ask for a new one.")


class AnotherEmail(Refused):
    """The invitation was mailed to an address that is not the account's."""

    message = _("This invitation was sent to another email address. Sign in with the account of that address.")


def send(manager: Membership, email: str, *, role: Role, origin: Origin, link_template: str = "") -> Invitation:
    """Invite an address; an earlier open invitation of it is replaced.

    ``link_template`` is where the client wants the mail to lead, with ``{inviteCode}`` in it; one that does not
    lead to a page of this portal is not followed. Raises ``RoleMissing``, ``NotAnEmail``, ``AlreadyMember`` or
    ``InvitedLately``.
    """
    if role.rank > Role(manager.role).rank:
        raise membership.RoleMissing
    check_address(email)
    if Membership.objects.filter(organization=manager.organization, user__email_key=key_of(email)).exists():
        raise AlreadyMember
    invitation = _new(manager, email, role=role, link_template=link_template)
    refused = _issue(manager, [invitation], origin, post=outbox.post_many)
    for refusal in refused.values():
        raise refusal
    return invitation


def _pauses(organization: Organization, email_key: str) -> list[Slot]:
    """Return what limits the invitations of an organization to one address, whichever way they are sent."""
    name = f"{organization.pk}:{email_key}"
    return [
        throttles.in_window("invitation", name, count=1, window=RESEND_PAUSE),
        throttles.in_window("invitations", name, count=MAX_PER_DAY, window=timedelta(days=1)),
    ]


def _issue(
    manager: Membership, made: list[Invitation], origin: Origin, *, post: Callable[[list[Mail]], None]
) -> dict[str, Refused]:
    """Save invitations in place of open ones to the same addresses, log them and mail them.

    Returns the refusals of addresses that were invited moments ago, by key; for them nothing is changed.
    """
    organization = manager.organization
    with transaction.atomic():
        # Two who invite one address at once: the second waits here, and replaces.
        membership.lock(organization.pk)
        keys = [row.email_key for row in made]
        replaced = list(pending(organization).filter(email_key__in=keys))
        still_may(manager, *made, *replaced)  # none of those that are replaced stands above the manager
        limits = throttles.take_each({row.email_key: _pauses(organization, row.email_key) for row in made})
        refused: dict[str, Refused] = {key: InvitedLately(retry_at=limit.retry_at) for key, limit in limits.items()}
        made = [row for row in made if row.email_key not in refused]
        membership.withdraw(manager, [row for row in replaced if row.email_key not in refused], origin)
        Invitation.objects.bulk_create(made, batch_size=membership.BATCH)
        membership.record_many(organization, manager.user, EventKind.INVITED, origin, [row.email for row in made])
        post([Mail(task="organizations.invitation", about=str(row.pk)) for row in made])
    return refused


def still_may(manager: Membership, *rows: Invitation) -> None:
    """Raise ``RoleMissing`` if the manager was demoted or removed this very moment, or stands below an invitation."""
    now = Membership.objects.filter(pk=manager.pk, role__in=MANAGERS).first()
    if now is None or any(Role(row.role).rank > Role(now.role).rank for row in rows):
        raise membership.RoleMissing


def check_address(email: str) -> None:
    """Raise ``NotAnEmail`` unless a mail could be sent to ``email``."""
    try:
        validate_email(email)
    except ValidationError:
        raise NotAnEmail from None
    if max(len(email), len(key_of(email))) > MAX_EMAIL_LENGTH or not is_compared_as_written(email):
        raise NotAnEmail


@dataclass(frozen=True)
class Sent:
    """What came of inviting many: how many were invited, who was not, and why."""

    invited: int
    refused: list[tuple[str, str]]


def send_many(manager: Membership, emails: Sequence[str], *, role: Role, origin: Origin) -> Sent:
    """Invite many addresses in one transaction; open invitations of them are replaced. Mails go by the bulk queue.

    Raises ``RoleMissing`` or ``TooManyAtOnce``.
    """
    if role.rank > Role(manager.role).rank:
        raise membership.RoleMissing
    if len(emails) > MAX_INVITATIONS_AT_ONCE:
        raise TooManyAtOnce
    wanted, refused = _sort_out(manager, emails)
    made = [_new(manager, email, role=role) for email in wanted.values()]
    lately = _issue(manager, made, origin, post=outbox.post_in_bulk)
    refused.extend((wanted[key], refusal.text) for key, refusal in lately.items())
    return Sent(invited=len(made) - len(lately), refused=refused)


def _sort_out(manager: Membership, emails: Sequence[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Give the addresses to invite by their keys, and the others with the reason. Two queries."""
    organization = manager.organization
    wanted: dict[str, str] = {}
    refused: list[tuple[str, str]] = []
    for email in emails:
        try:
            check_address(email)
        except NotAnEmail as refusal:
            refused.append((email[:MAX_EMAIL_LENGTH], refusal.text))
        else:
            wanted.setdefault(key_of(email), email)
    members = Membership.objects.filter(organization=organization, email_key__in=wanted)
    known = list(members.values_list("email_key", flat=True))
    refused.extend((wanted.pop(key), str(AlreadyMember.message)) for key in known)
    above = [role for role in Role if role.rank > Role(manager.role).rank]
    higher = pending(organization).filter(email_key__in=wanted, role__in=above)
    keys = list(higher.values_list("email_key", flat=True))
    refused.extend((wanted.pop(key), str(InvitedAbove.message)) for key in keys)
    return wanted, refused


def _new(manager: Membership, email: str, *, role: Role, link_template: str = "") -> Invitation:
    code = secrets.token_hex(CODE_BYTES)
    return Invitation(
        organization=manager.organization,
        sender=manager.user,
        email=email,
        email_key=key_of(email),
        role=role,
        digest=digest_of(code),
        sealed_code=seal(code.encode()),
        link_path=_path_of(link_template),
        expires_at=timezone.now() + settings.INVITATION_LIFETIME,
    )


def resend(manager: Membership, invitation_id: UUID, origin: Origin) -> Invitation:
    """Mail an invitation again, with the same link, and let it live anew.

    Raises ``NoSuchInvitation``, ``RoleMissing``, ``SenderGone`` or ``InvitedLately``.
    """
    organization = manager.organization
    invitation = pending(organization).filter(pk=invitation_id).first()
    if invitation is None:
        raise NoSuchInvitation
    still_may(manager, invitation)
    if not _is_backed(invitation):
        raise SenderGone
    with transaction.atomic():
        membership.lock(organization.pk)
        still_may(manager, invitation)
        if limit := throttles.try_take(_pauses(organization, invitation.email_key)):
            raise InvitedLately(retry_at=limit.retry_at)
        invitation.sender = manager.user  # who answers for it from now on
        invitation.expires_at = timezone.now() + settings.INVITATION_LIFETIME
        invitation.save(update_fields=["sender", "expires_at"])
        membership.record(organization, manager.user, EventKind.INVITED, origin, subject=invitation.email)
        outbox.post("organizations.invitation", user=None, about=invitation.pk)
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


def pending(organization: Organization, *, starts: str = "") -> QuerySet[Invitation]:
    """Give the invitations that were neither accepted nor withdrawn, by address, which begins with ``starts``.

    Those that have expired are among them: sending them again lets them live anew.
    """
    rows = Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)
    return (rows.filter(email_key__startswith=starts) if starts else rows).order_by("email_key")


def withdraw(manager: Membership, invitation_id: UUID, origin: Origin) -> None:
    """End an invitation before it was accepted. Raises ``NoSuchInvitation`` or ``RoleMissing``."""
    with transaction.atomic():
        membership.lock(manager.organization_id)
        still_may(manager)
        invitation = pending(manager.organization).filter(pk=invitation_id).select_for_update().first()
        if invitation is None:
            raise NoSuchInvitation
        still_may(manager, invitation)
        membership.withdraw(manager, [invitation], origin)


def find(code: str) -> Invitation | None:
    """Find the open invitation of a code, with its organization."""
    invitation = Invitation.objects.select_related("organization").filter(digest=digest_of(code)).first()
    return invitation if invitation and invitation.is_open(timezone.now()) else None


def proves(code: str, email: str) -> bool:
    """Whether whoever brings ``code`` has the mailbox of ``email``: the code was mailed there."""
    invitation = find(code) if code else None
    return invitation is not None and invitation.email_key == key_of(email)


def accept(user: User, code: str, origin: Origin) -> Organization:
    """Make ``user`` a member of the organization, which is given. The code came by mail: it proves the mailbox too.

    Raises ``InvitationOver``, ``AnotherEmail``, ``AlreadyMember``, or ``MfaMissing``: then it stays open.
    """
    refusal: Refused | None = None
    now = timezone.now()
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        # Below the organization's lock nobody takes a right away from the sender meanwhile.
        found = Invitation.objects.filter(digest=digest_of(code)).first()
        organization = membership.lock(found.organization_id) if found else None
        invitation = Invitation.objects.select_for_update().filter(digest=digest_of(code)).first()
        if organization is None or invitation is None or not invitation.is_open(now):
            raise InvitationOver
        if invitation.email_key != user.email_key:
            raise AnotherEmail
        if user.email_verified_at is None:
            user.email_verified_at = now
            user.save(update_fields=["email_verified_at"])
        refusal = _join(user, organization, invitation, origin)

    # Raised out here: the mailbox is proven even where MFA has to be activated first.
    if refusal:
        raise refusal
    return organization


def is_wanted(invitation: Invitation) -> bool:
    """Whether its mail would still be of use (SR-50)."""
    return invitation.is_open(timezone.now()) and _is_backed(invitation)


def _is_backed(invitation: Invitation) -> bool:
    """Whether whoever invited somebody to manage others may still give that role."""
    if invitation.role not in MANAGERS:
        return True
    members = Membership.objects.filter(organization=invitation.organization_id, user__is_active=True)
    sender = members.filter(user=invitation.sender_id).first()
    return sender is not None and Role(sender.role).rank >= Role(invitation.role).rank


def _join(user: User, organization: Organization, invitation: Invitation, origin: Origin) -> Refused | None:
    if organization.mfa_required and not organization.is_met_by(user.modes):
        return MfaMissing(organization)
    if Membership.objects.filter(organization=organization, user=user).exists():
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])
        return AlreadyMember()
    if not _is_backed(invitation):
        return InvitationOver()
    Membership.objects.create(organization=organization, user=user, role=invitation.role)
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    happened = membership.record(organization, user, EventKind.JOINED, origin, subject=user.email)
    if invitation.role == Role.OWNER:
        membership.tell_owners(happened)
    return None

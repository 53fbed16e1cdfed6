"""Invitations: a mailed code with which the owner of one email can join an organization, once (SR-43)."""

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

from accounts import languages, outbox, throttles
from accounts.encryption import seal, unseal
from accounts.identifiers import digest_of, is_compared_as_written, key_of
from accounts.limits import Limit
from accounts.locks import lock_user
from accounts.models import Mail, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.throttles import Slot
from organizations import membership
from organizations.member_list import SHORTEST_PART
from organizations.models import MANAGERS, EventKind, Invitation, Membership, Organization, Role
from organizations.policy import MfaMissing

MAX_EMAIL_LENGTH = 254
MAX_INVITATIONS_AT_ONCE = 2000
CODE_BYTES = 24  # in hex, because a command line would read a code that begins with a dash as an option
CODE_PARAMETER = "code"
CODE_PLACE = "{inviteCode}"
# Pages that accept an invitation. Each generation of the command-line client names one of them.
LINK_PATHS = ("/account/accept-invite", "/accept-invite")
PAUSE_BETWEEN = Limit(
    what="invitations", per="organization and email", key="invitation", tries=1, window=timedelta(minutes=1)
)
PER_DAY = Limit(what="invitations", per="organization and email", key="invitations", tries=20, window=timedelta(days=1))


class AlreadyMember(Refused):
    """The user is already a member."""

    message = _("This user is already a member of the organization.")


class InvitedAbove(Refused):
    """A manager of higher rank has invited the same email with a role above the sender's."""

    message = _("This email is already invited with a role above yours.")


class InvitedLately(Refused):
    """An invitation was sent to this email moments ago, by page or command line."""

    message = _("We have just sent an invitation to this email.")


class SenderGone(Refused):
    """The invitation's sender can no longer grant this role."""

    message = _("The sender of this invitation can no longer grant its role. Delete it and send a new one.")


class NoSuchInvitation(Refused):
    """The invitation is unknown, accepted or withdrawn."""

    message = _("There is no such pending invitation.")


class NotAnId(Refused):
    """The given value is not an invitation's id; mostly it is an email."""

    message = _("Use the id of the invitation, not its email. The command 'invites list' shows the ids.")


class NotAnEmail(Refused):
    """The given text is not an email to which a mail could be sent."""

    message = _("This is not an email address.")


class NoSuchRole(Refused):
    """The given number stands for no role."""

    message = _("There is no such role. Use 5 for a member, 2 for an admin or 1 for an owner.")


class TooManyAtOnce(Refused):
    """More than ``MAX_INVITATIONS_AT_ONCE`` emails were given."""

    message = _("You can invite up to 2,000 people at once. Shorten the list and invite the others afterwards.")


class InvitationOver(Refused):
    """The invitation is unknown, accepted, withdrawn or expired: the answer is the same."""

    message = _("This invitation is no longer valid. Ask for a new one.")


class AnotherEmail(Refused):
    """The invitation was mailed to an email that is not the account's."""

    message = _("This invitation was sent to another email. Sign in with the account of that email.")


def send(manager: Membership, email: str, *, role: Role, origin: Origin, link_template: str = "") -> Invitation:
    """Invite an email. An earlier open invitation to it is replaced.

    ``link_template`` is the URL to which the client wants the mail to link, with ``{inviteCode}`` in it. A URL that is
    not a page of this portal is ignored. Raise ``RoleMissing``, ``NotAnEmail``, ``AlreadyMember`` or
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
    """Return the limits of an organization's invitations to one email."""
    return [limit.of(organization.pk, email_key) for limit in (PAUSE_BETWEEN, PER_DAY)]


def _issue(
    manager: Membership, made: list[Invitation], origin: Origin, *, post: Callable[[list[Mail]], None]
) -> dict[str, Refused]:
    """Save, log and mail invitations. Each replaces an open one to the same email.

    Return the refusals of emails that were invited moments ago, by email key; for these nothing changes.
    """
    organization = manager.organization
    with transaction.atomic():
        # If two managers invite one email at the same time, the second waits here, then replaces the first invitation.
        membership.lock(organization.pk)
        keys = [row.email_key for row in made]
        replaced = list(pending(organization).filter(email_key__in=keys))
        still_may(manager, *made, *replaced)  # a replaced invitation must not rank above the manager either
        limits = throttles.take_each({row.email_key: _pauses(organization, row.email_key) for row in made})
        refused: dict[str, Refused] = {key: InvitedLately(retry_at=limit.retry_at) for key, limit in limits.items()}
        made = [row for row in made if row.email_key not in refused]
        membership.withdraw_invitations(manager, [row for row in replaced if row.email_key not in refused], origin)
        Invitation.objects.bulk_create(made, batch_size=membership.BATCH)
        membership.record_many(organization, manager.user, EventKind.INVITED, origin, [row.subject for row in made])
        language = languages.of_mail(None, is_awaited=False)
        post([Mail(task="organizations.invitation", about=str(row.pk), language=language) for row in made])
    return refused


def still_may(manager: Membership, *rows: Invitation) -> None:
    """Raise ``RoleMissing`` if the manager is no longer one, or ranks below the role of an invitation."""
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
    """The result of inviting many emails."""

    invitations: list[Invitation]
    refused: list[tuple[str, str]]  # email and reason

    @property
    def invited(self) -> int:
        """Return the number of invitations that were sent."""
        return len(self.invitations)


def send_many(manager: Membership, emails: Sequence[str], *, role: Role, origin: Origin) -> Sent:
    """Invite many emails in one transaction. Open invitations to them are replaced. Mails go by the bulk queue.

    Raise ``RoleMissing`` or ``TooManyAtOnce``.
    """
    if role.rank > Role(manager.role).rank:
        raise membership.RoleMissing
    if len(emails) > MAX_INVITATIONS_AT_ONCE:
        raise TooManyAtOnce
    wanted, refused = _sort_out(manager, emails)
    made = [_new(manager, email, role=role) for email in wanted.values()]
    lately = _issue(manager, made, origin, post=outbox.post_in_bulk)
    refused.extend((wanted[key], refusal.text) for key, refusal in lately.items())
    return Sent([row for row in made if row.email_key not in lately], refused)


def _sort_out(manager: Membership, emails: Sequence[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the emails to invite by their keys, and the others with the reason. Two queries."""
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
    """Mail an invitation again with the same link, and restart its lifetime.

    Raise ``NoSuchInvitation``, ``RoleMissing``, ``SenderGone`` or ``InvitedLately``.
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
        invitation.sender = manager.user  # from now on the invitation depends on this manager's role
        invitation.expires_at = timezone.now() + settings.INVITATION_LIFETIME
        invitation.save(update_fields=["sender", "expires_at"])
        membership.record(organization, manager.user, EventKind.INVITED, origin, subject=invitation.subject)
        outbox.post("organizations.invitation", user=None, about=invitation.pk)
    return invitation


def _path_of(link_template: str) -> str:
    for path in LINK_PATHS:
        if link_template == f"{settings.SITE_URL}{path}?{CODE_PARAMETER}={CODE_PLACE}":
            return path
    return LINK_PATHS[0]


def link_of(invitation: Invitation) -> str:
    """Return the URL to which the mail links."""
    code = unseal(invitation.sealed_code).decode()
    return f"{settings.SITE_URL}{invitation.link_path}?{CODE_PARAMETER}={code}"


def pending(organization: Organization, *, search: str = "") -> QuerySet[Invitation]:
    """Return the invitations that were neither accepted nor withdrawn, ordered by email key.

    Only email keys that contain ``search`` are returned, or begin with it if it has one or two letters. Expired
    invitations are included: they can be sent again.
    """
    rows = Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)
    part = "email_key__contains" if len(search) >= SHORTEST_PART else "email_key__startswith"
    return (rows.filter(**{part: search}) if search else rows).order_by("email_key")


def withdraw(manager: Membership, invitation_id: UUID, origin: Origin) -> None:
    """Withdraw an open invitation. Raise ``NoSuchInvitation`` or ``RoleMissing``."""
    with transaction.atomic():
        membership.lock(manager.organization_id)
        still_may(manager)
        invitation = pending(manager.organization).filter(pk=invitation_id).select_for_update().first()
        if invitation is None:
            raise NoSuchInvitation
        still_may(manager, invitation)
        membership.withdraw_invitations(manager, [invitation], origin)


def find(code: str) -> Invitation | None:
    """Return the open invitation of a code with its organization and sender, or None."""
    invitation = Invitation.objects.select_related("organization", "sender").filter(digest=digest_of(code)).first()
    return invitation if invitation and invitation.is_open(timezone.now()) else None


def proves(code: str, email: str) -> bool:
    """Return whether ``code`` was mailed to ``email``: then the user who has it controls that mailbox."""
    invitation = find(code) if code else None
    return invitation is not None and invitation.email_key == key_of(email)


def accept(user: User, code: str, origin: Origin) -> Organization:
    """Make ``user`` a member of the invitation's organization, and return it. The mailed code also verifies the email.

    Raise ``InvitationOver``, ``AnotherEmail``, ``AlreadyMember``, or ``MfaMissing``, after which it stays open.
    """
    refusal: Refused | None = None
    now = timezone.now()
    with transaction.atomic(durable=True):
        user = lock_user(user)
        # The organization's lock keeps the sender's role unchanged until the user has joined.
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

    # Raised after the commit: the email stays verified even if the user has to activate MFA first.
    if refusal:
        raise refusal
    return organization


def is_wanted(invitation: Invitation) -> bool:
    """Return whether the invitation's mail should still be sent (SR-50)."""
    return invitation.is_open(timezone.now()) and _is_backed(invitation)


def _is_backed(invitation: Invitation) -> bool:
    """Return whether the sender can still grant the invitation's role. Anyone's invitation to be a member stands."""
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
    happened = membership.record(
        organization, user, EventKind.JOINED, origin, subject=f"{user.email}: {invitation.role}"
    )
    if invitation.role == Role.OWNER:
        membership.tell_owners(happened)
    return None

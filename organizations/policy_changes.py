"""Changes of an organization's policy by its owners: one short transaction each, logged and mailed to all owners."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import languages
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import accepted_modes, compliance, membership, rehearsal, reminders
from organizations.accepted_modes import Verdict
from organizations.models import MANAGERS, EventKind, Membership, Organization
from organizations.policy import ModeNotProved

ENDED_BATCH_SIZE = 500
MAX_DAYS_AHEAD = timedelta(days=731)


class OwnMfaIsOff(Refused):
    """The owner's own account does not meet the policy that they require (SR-40)."""

    message = _("Enable multi-factor authentication for your own account first. Then you can require it of others.")


class OwnModeNotProved(ModeNotProved):
    """The owner demands a mode that this session or token has not proved: the change could lock them out (SR-60)."""

    message = _("To require %(modes)s in %(name)s, prove first that you can sign in with it yourself.")


class RequiredAlready(Refused):
    """The policy is in force: it cannot be rehearsed any more."""

    message = _("Multi-factor authentication is already required, so there is nothing to rehearse.")


class TooFarAhead(Refused):
    """The date is more than two years ahead."""

    message = _("This date is too far ahead. Choose one within the next two years.")


class ChangedMeanwhile(Refused):
    """Another owner changed the policy after this owner had opened the page."""

    message = _("Another owner has changed the policy in the meantime. Open this page again to see the change.")


class NotAServiceAccount(Refused):
    """Only service accounts can be exempt, and owners and admins are people, who can set up MFA."""

    message = _("Owners and admins cannot be exempt. Exempt only members that are service accounts.")


@dataclass(frozen=True)
class PolicySettings:
    """What an organization requires of its members. ``required_from`` None, or a time in the past, means now."""

    required: bool
    required_from: datetime | None = None
    accepted_modes: str = ""  # as ``Organization.accepted_modes``
    remembering_forbidden: bool = False


def settings_of(organization: Organization) -> PolicySettings:
    """Return the current policy of an organization."""
    return PolicySettings(
        required=organization.mfa_required_at is not None,
        required_from=organization.mfa_required_at,
        accepted_modes=organization.accepted_modes,
        remembering_forbidden=organization.remembering_forbidden,
    )


def require(owner: Membership, origin: Origin, *, proved: frozenset[str] | None = None) -> None:
    """Require MFA of every member from now on, and change nothing else.

    ``proved`` are the modes that proved the owner's session or token; None outside of one. Raise ``OwnMfaIsOff``,
    ``OwnModeNotProved`` or ``RoleMissing``.
    """
    _change(owner, origin, proved=proved, required=True, required_from=None)


def stop_requiring(owner: Membership, origin: Origin) -> None:
    """Make MFA optional again, or withdraw its announcement. Raise ``OwnMfaIsOff`` or ``RoleMissing``."""
    _change(owner, origin, required=False)


def set_policy(
    owner: Membership,
    settings: PolicySettings,
    origin: Origin,
    *,
    seen: PolicySettings | None = None,
    proved: frozenset[str] | None = None,
) -> None:
    """Set the policy as a whole. If MFA is already required and stays so, the start date does not change.

    ``seen`` is the policy that the owner saw before; ``proved`` as for ``require``. Raise ``OwnMfaIsOff``,
    ``OwnModeNotProved``, ``TooFarAhead``, ``RoleMissing`` or ``ChangedMeanwhile`` without changing anything.
    """
    _change(owner, origin, seen=seen, proved=proved, **vars(settings))


def blocks_more(organization: Organization, settings: PolicySettings) -> bool:
    """Return whether ``settings`` would at once block members whom the policy does not block now."""
    holds = organization.mfa_required or (settings.required_from or timezone.now()) <= timezone.now()
    tightens = accepted_modes.is_stricter(settings.accepted_modes, than=organization.accepted_modes)
    return settings.required and holds and (tightens or not organization.mfa_required)


def _change(
    owner: Membership,
    origin: Origin,
    *,
    seen: PolicySettings | None = None,
    proved: frozenset[str] | None = None,
    **changes: Any,
) -> None:
    with transaction.atomic(durable=True):
        user, organization = lock(owner)
        before = settings_of(organization)
        if seen is not None and seen != before:
            raise ChangedMeanwhile
        settings = replace(before, **changes)
        organization.accepted_modes = settings.accepted_modes
        if settings.required and not organization.is_met_by(user.modes):
            raise OwnMfaIsOff
        if settings.required and is_unproved(user, organization, proved):
            raise OwnModeNotProved(organization, user)
        organization.remembering_forbidden = settings.remembering_forbidden
        organization.mfa_required_at = _starts_at(organization, settings)
        organization.save(update_fields=["accepted_modes", "remembering_forbidden", "mfa_required_at"])
        _note(organization, before, user, origin)


def is_unproved(user: User, organization: Organization, proved: frozenset[str] | None) -> bool:
    """Return whether the modes that ``organization`` accepts still have to be proved by their owner (SR-60)."""
    return accepted_modes.verdict(organization.accepted_modes, user.modes, proved) is Verdict.NOT_PROVED


def _starts_at(organization: Organization, settings: PolicySettings) -> datetime | None:
    """Return the start date: a date in the future is rounded up to a whole minute of UTC, as the log shows it."""
    if not settings.required:
        return None
    if organization.mfa_required:
        return organization.mfa_required_at  # auditors need the date since which MFA has been required
    now = timezone.now()
    if settings.required_from is None or settings.required_from <= now:
        return now
    if settings.required_from > now + MAX_DAYS_AHEAD:
        raise TooFarAhead
    at = settings.required_from.astimezone(UTC)
    whole = at.replace(second=0, microsecond=0)
    return whole if whole == at else whole + timedelta(minutes=1)


def _note(organization: Organization, before: PolicySettings, user: User, origin: Origin) -> None:
    """Log what has changed, and schedule the mails to the members concerned."""
    at, was_at = organization.mfa_required_at, before.required_from
    tightened = accepted_modes.is_stricter(organization.accepted_modes, than=before.accepted_modes)
    if at != was_at:
        words = _in_words(at) if organization.mfa_announced else ""
        _record(organization, user, _kind_of(organization, was_at), origin, subject=words, effective_at=at)
    if organization.accepted_modes != before.accepted_modes:
        with languages.of(None):
            words = accepted_modes.label_of(organization.accepted_modes)
        _record(organization, user, EventKind.ACCEPTED_MODES, origin, subject=words)
    if organization.remembering_forbidden != before.remembering_forbidden:
        forbidden = organization.remembering_forbidden
        kind = EventKind.REMEMBERING_FORBIDDEN if forbidden else EventKind.REMEMBERING_ALLOWED
        _record(organization, user, kind, origin)
    if at != was_at or (at is not None and tightened):
        reminders.follow(organization, accepted_before=before.accepted_modes)
    if organization.mfa_required or (was_at is not None and was_at <= timezone.now()):
        _end_rehearsal(organization, user, origin)


def _kind_of(organization: Organization, was_at: datetime | None) -> EventKind:
    if organization.mfa_required_at is not None:
        return EventKind.MFA_REQUIRED if organization.mfa_required else EventKind.MFA_ANNOUNCED
    held = was_at is not None and was_at <= timezone.now()
    return EventKind.MFA_NOT_REQUIRED if held else EventKind.MFA_WITHDRAWN


def _in_words(at: datetime | None) -> str:
    return f"{at:{compliance.TIME_FORMAT}}" if at else ""


def lock(owner: Membership) -> tuple[User, Organization]:
    """Lock and reload the owner's user and the organization (SR-40).

    Raise ``OwnMfaIsOff``, or ``RoleMissing`` if the owner has been demoted in the meantime.
    """
    user = User.objects.select_for_update(no_key=True).filter(pk=owner.user_id).first()
    organization = membership.lock(owner.organization_id)
    membership.still_owner(owner)
    if user is None:
        raise membership.RoleMissing
    if not user.modes:
        raise OwnMfaIsOff
    return user, organization


def _record(organization: Organization, user: User | None, kind: EventKind, origin: Origin, **about: object) -> None:
    """Log a change of policy and mail it to all owners (SR-54)."""
    membership.tell_owners(membership.record(organization, user, kind, origin, **about))


# --- rehearsal ------------------------------------------------------------------------------------


def rehearse(owner: Membership, origin: Origin, *, days: int) -> None:
    """Rehearse the policy for some days: only record whom it would block. 0 days ends the rehearsal.

    Raise ``RequiredAlready``, ``OwnMfaIsOff`` or ``RoleMissing``.
    """
    with transaction.atomic(durable=True):
        user, organization = lock(owner)
        if organization.mfa_required:
            raise RequiredAlready
        if not days:
            _end_rehearsal(organization, user, origin)
            return
        if not organization.is_rehearsing:  # otherwise it is extended
            _end_rehearsal(organization, None, Origin())  # one that has run out but was not reported yet
            rehearsal.forget(organization)
        organization.rehearsal_until = timezone.now() + timedelta(days=days)
        organization.save(update_fields=["rehearsal_until"])
        words = _in_words(organization.rehearsal_until)
        _record(organization, user, EventKind.REHEARSAL_STARTED, origin, subject=words)


def _end_rehearsal(organization: Organization, user: User | None, origin: Origin) -> None:
    if organization.rehearsal_until is None:
        return
    organization.rehearsal_until = None
    organization.save(update_fields=["rehearsal_until"])
    number = rehearsal.count_members(organization)
    with languages.of(None):
        words = ngettext("%(n)d member would have been blocked", "%(n)d members would have been blocked", number)
    _record(organization, user, EventKind.REHEARSAL_ENDED, origin, subject=words % {"n": number})


def end_rehearsals() -> int:
    """End the rehearsals that have run out, and mail the results to the owners. Return the number ended."""
    now, count = timezone.now(), 0
    over = Q(rehearsal_until__lte=now) | Q(rehearsal_until__isnull=False, mfa_required_at__lte=now)
    for pk in Organization.objects.filter(over).values_list("pk", flat=True)[:ENDED_BATCH_SIZE]:
        with transaction.atomic(durable=True):
            organization = Organization.objects.select_for_update(no_key=True).filter(over, pk=pk).first()
            if organization is not None:
                _end_rehearsal(organization, None, Origin())
                count += 1
    return count


# --- exemptions -----------------------------------------------------------------------------------


def exempt(owner: Membership, user_id: UUID, *, reason: str, until: datetime | None, origin: Origin) -> None:
    """Exempt a service account from the policy until a time, or end its exemption if ``until`` is None.

    Raise ``NotAMember``, ``NotAServiceAccount``, ``OwnMfaIsOff`` or ``RoleMissing``.
    """
    with transaction.atomic(durable=True):
        user, organization = lock(owner)
        rows = Membership.objects.filter(organization=organization, user=user_id).select_related("user")
        row = rows.first()
        if row is None:
            raise membership.NotAMember
        if until and row.role in MANAGERS:
            raise NotAServiceAccount
        if not until and not row.is_exempt:
            return
        rows.update(exempt_until=until, exempt_reason=reason if until else "")
        kind = EventKind.EXEMPTED if until else EventKind.EXEMPTION_ENDED
        words = _exemption_in_words(row.user, reason, until) if until else row.user.email
        _record(organization, user, kind, origin, subject=words, member=row.user_id, effective_at=until)
        if not until and organization.mfa_required_at is not None:
            reminders.tell(organization, row.user)


def exempt_many(owner: Membership, member_ids: Collection[int], *, reason: str, until: datetime, origin: Origin) -> int:
    """Exempt members at once, by the ids of their memberships. Return the number of those whom this changes.

    Owners and admins cannot be exempt. The caller opens the transaction, and tells the owners once of all. Raise
    ``OwnMfaIsOff`` or ``RoleMissing``.
    """
    user, organization = lock(owner)
    rows = Membership.objects.filter(organization=organization, pk__in=member_ids).exclude(role__in=MANAGERS)
    changed = list(rows.exclude(exempt_until=until, exempt_reason=reason).select_related("user").order_by("pk"))
    Membership.objects.filter(pk__in=[row.pk for row in changed]).update(exempt_until=until, exempt_reason=reason)
    membership.record_all(
        membership.event(
            organization, user, EventKind.EXEMPTED, origin,
            subject=_exemption_in_words(row.user, reason, until), member=row.user_id, effective_at=until,
        )
        for row in changed
    )  # fmt: skip
    return len(changed)


def _exemption_in_words(user: User, reason: str, until: datetime) -> str:
    return f"{user.email}: {reason} (until {until:%Y-%m-%d})"

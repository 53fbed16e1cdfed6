"""What owners change of a policy: one small transaction whatever the size, written down and told to all owners."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import accepted_modes, compliance, membership, rehearsal, reminders
from organizations.models import MANAGERS, EventKind, Membership, Organization

ENDED_BATCH_SIZE = 500
MAX_DAYS_AHEAD = timedelta(days=731)


class OwnMfaIsOff(Refused):
    """Who demands it must have it, in a mode that counts (SR-40)."""

    message = _("Please enable multi-factor authentication for your own account before you require it of others.")


class RequiredAlready(Refused):
    """There is nothing left to rehearse."""

    message = _("Multi-factor authentication is required already: there is nothing left to rehearse.")


class TooFarAhead(Refused):
    """A date that nobody can mean."""

    message = _("This date is too far ahead: choose one within the next two years.")


class ChangedMeanwhile(Refused):
    """Who decides must have seen what is decided about."""

    message = _("The policy was changed meanwhile. Open this page again and look first.")


class NotAServiceAccount(Refused):
    """Whoever manages others is a person, who can have MFA."""

    message = _("Owners and admins cannot be exempt: only members can, for accounts that no person signs in with.")


@dataclass(frozen=True)
class PolicySettings:
    """What an organization asks of its members. ``required_from`` None, or a time that is over, means now."""

    required: bool
    required_from: datetime | None = None
    counting: str = ""
    remembering_forbidden: bool = False


def settings_of(organization: Organization) -> PolicySettings:
    """Give what the organization asks for."""
    return PolicySettings(
        required=organization.mfa_required_at is not None,
        required_from=organization.mfa_required_at,
        counting=organization.accepted_modes,
        remembering_forbidden=organization.remembering_forbidden,
    )


def require(owner: Membership, origin: Origin) -> None:
    """Require MFA of every member from now on, and change nothing else. Raises ``OwnMfaIsOff`` or ``RoleMissing``."""
    _change(owner, origin, required=True, required_from=None)


def stop_requiring(owner: Membership, origin: Origin) -> None:
    """Leave MFA to each member again, also where it was only announced. Raises ``OwnMfaIsOff`` or ``RoleMissing``."""
    _change(owner, origin, required=False)


def set_policy(owner: Membership, terms: PolicySettings, origin: Origin, *, seen: PolicySettings | None = None) -> None:
    """Set the policy as a whole. Where MFA is required already and stays so, since when does not change.

    ``seen`` is the policy that was looked at before. Raises ``OwnMfaIsOff``, ``TooFarAhead``, ``RoleMissing`` or
    ``ChangedMeanwhile``; then nothing is changed.
    """
    _change(owner, origin, seen, **vars(terms))


def blocks_more(organization: Organization, terms: PolicySettings) -> bool:
    """Whether ``terms`` would stop people at once whom the policy does not stop now."""
    holds = organization.mfa_required or (terms.required_from or timezone.now()) <= timezone.now()
    tightens = bool(terms.counting) and terms.counting != organization.accepted_modes
    return terms.required and holds and (tightens or not organization.mfa_required)


def _change(owner: Membership, origin: Origin, seen: PolicySettings | None = None, **changes: object) -> None:
    with transaction.atomic(durable=True):
        user, organization = _lock(owner)
        before = settings_of(organization)
        if seen is not None and seen != before:
            raise ChangedMeanwhile
        terms = replace(before, **changes)  # type: ignore[arg-type]
        organization.accepted_modes = terms.counting
        if terms.required and not organization.is_met_by(user.modes):
            raise OwnMfaIsOff
        organization.remembering_forbidden = terms.remembering_forbidden
        organization.mfa_required_at = _starts_at(organization, terms)
        organization.save(update_fields=["accepted_modes", "remembering_forbidden", "mfa_required_at"])
        _note(organization, before, user, origin)


def _starts_at(organization: Organization, terms: PolicySettings) -> datetime | None:
    """Say from when on it holds: a date that is to come in whole minutes of UTC, as the log writes it."""
    if not terms.required:
        return None
    if organization.mfa_required:
        return organization.mfa_required_at  # an auditor reads since when it has held
    now = timezone.now()
    if terms.required_from is None or terms.required_from <= now:
        return now
    if terms.required_from > now + MAX_DAYS_AHEAD:
        raise TooFarAhead
    at = terms.required_from.astimezone(UTC)
    whole = at.replace(second=0, microsecond=0)
    return whole if whole == at else whole + timedelta(minutes=1)


def _note(organization: Organization, before: PolicySettings, user: User, origin: Origin) -> None:
    """Write down what is different now, and have the members told who are concerned."""
    at, was_at = organization.mfa_required_at, before.required_from
    tightened = organization.accepted_modes not in {before.counting, ""}
    if at != was_at:
        words = _in_words(at) if organization.mfa_announced else ""
        _record(organization, user, _kind_of(organization, was_at), origin, subject=words, effective_at=at)
    if organization.accepted_modes != before.counting:
        words = accepted_modes.label_of(organization.accepted_modes)
        _record(organization, user, EventKind.COUNTING_MODES, origin, subject=words)
    if organization.remembering_forbidden != before.remembering_forbidden:
        forbidden = organization.remembering_forbidden
        kind = EventKind.REMEMBERING_FORBIDDEN if forbidden else EventKind.REMEMBERING_ALLOWED
        _record(organization, user, kind, origin)
    if at != was_at or (at is not None and tightened):
        reminders.follow(organization, counted=before.counting)
    if organization.mfa_required or (was_at is not None and was_at <= timezone.now()):
        _end_rehearsal(organization, user, origin)


def _kind_of(organization: Organization, was_at: datetime | None) -> EventKind:
    if organization.mfa_required_at is not None:
        return EventKind.MFA_REQUIRED if organization.mfa_required else EventKind.MFA_ANNOUNCED
    held = was_at is not None and was_at <= timezone.now()
    return EventKind.MFA_NOT_REQUIRED if held else EventKind.MFA_WITHDRAWN


def _in_words(at: datetime | None) -> str:
    return f"{at:{compliance.WRITTEN}}" if at else ""


def _lock(owner: Membership) -> tuple[User, Organization]:
    """Lock and reread who decides and for whom (SR-40).

    Raises ``OwnMfaIsOff``, or ``RoleMissing`` if they were demoted this very moment.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=owner.user_id)
    organization = membership.lock(owner.organization_id)
    membership.still_owner(owner)
    if not user.modes:
        raise OwnMfaIsOff
    return user, organization


def _record(organization: Organization, user: User | None, kind: EventKind, origin: Origin, **about: object) -> None:
    """Write down a change of policy, and let all owners know of it (SR-54)."""
    membership.tell_owners(membership.record(organization, user, kind, origin, **about))


# --- rehearsal ------------------------------------------------------------------------------------


def rehearse(owner: Membership, origin: Origin, *, days: int) -> None:
    """For some days, only note whom the policy would stop; 0 ends it.

    Raises ``RequiredAlready``, ``OwnMfaIsOff`` or ``RoleMissing``.
    """
    with transaction.atomic(durable=True):
        user, organization = _lock(owner)
        if organization.mfa_required:
            raise RequiredAlready
        if not days:
            _end_rehearsal(organization, user, origin)
            return
        if not organization.is_rehearsing:  # else it goes on for longer
            _end_rehearsal(organization, None, Origin())  # one that is over, and of which nobody was told yet
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
    number = rehearsal.people(organization)
    words = ngettext("%(n)d person would have been stopped", "%(n)d people would have been stopped", number)
    _record(organization, user, EventKind.REHEARSAL_ENDED, origin, subject=words % {"n": number})


def end_rehearsals() -> int:
    """End the rehearsals whose time is over, and tell the owners what came of them. Gives how many."""
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
    """Spare a service account the policy until a time, or end that (``until`` is None).

    Raises ``NotAMember``, ``NotAServiceAccount``, ``OwnMfaIsOff`` or ``RoleMissing``.
    """
    with transaction.atomic(durable=True):
        user, organization = _lock(owner)
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
        words = f"{row.user.email}: {reason} ({until:%Y-%m-%d})" if until else row.user.email
        _record(organization, user, kind, origin, subject=words, member=row.user_id, effective_at=until)
        if not until and organization.mfa_required_at is not None:
            reminders.tell(organization, row.user)

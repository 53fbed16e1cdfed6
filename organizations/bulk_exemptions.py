"""Exemption of many members: the chosen ones at once, all who match by a worker. One reason and one end for all.

The rules are those of one exemption: owners whose MFA is on exempt members, never owners or admins. The log gets one
event of the whole, which owners are mailed, and for each member the event that a single exemption writes.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import languages
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import member_runs, membership, policy_changes
from organizations.member_runs import Work
from organizations.models import OWNERS, EventKind, ExemptionRun, Membership


class ExemptionsRunning(Refused):
    """A run of the organization is not done yet."""

    message = _("Members of this organization are being exempted already. Wait until this is done.")


def exempt_chosen(owner: Membership, user_ids: list[UUID], *, reason: str, until: datetime, origin: Origin) -> int:
    """Exempt some members at once. Return their number. Raise ``OwnMfaIsOff`` or ``RoleMissing``."""
    with transaction.atomic(durable=True):
        rows = Membership.objects.filter(organization=owner.organization_id, user__in=user_ids)
        ids = list(rows.values_list("pk", flat=True))
        number = policy_changes.exempt_many(owner, ids, reason=reason, until=until, origin=origin)
        if number:
            with languages.of(None):  # the log's
                words = ngettext("%(n)d member", "%(n)d members", number) % {"n": number}
            _note(owner, words, reason, until, origin)
    return number


def start(owner: Membership, *, state: str, search: str, reason: str, until: datetime, origin: Origin) -> ExemptionRun:
    """Begin to exempt all members who match. Raise ``OwnMfaIsOff``, ``RoleMissing`` or ``ExemptionsRunning``."""
    run = ExemptionRun(organization=owner.organization, actor=owner.user, state=state, search=search)
    run.reason, run.until = reason, until
    run.ip_address, run.agent = origin.ip_address, origin.agent[:255]
    with transaction.atomic(durable=True):
        policy_changes.lock(owner)
        begun = member_runs.start(EXEMPTIONS, owner, run)
        if begun is run:
            with languages.of(None):
                words = ngettext("up to %(n)d member", "up to %(n)d members", run.total) % {"n": run.total}
            _note(owner, words, reason, until, origin)
    return begun


def _note(owner: Membership, words: str, reason: str, until: datetime, origin: Origin) -> None:
    about = {"subject": f"{words}: {reason} (until {until:%Y-%m-%d})", "effective_at": until}
    event = membership.record(owner.organization, owner.user, EventKind.MANY_EXEMPTED, origin, **about)
    membership.tell_owners(event)


def _act(run: ExemptionRun, owner: Membership, ids: list[int]) -> int:
    origin = member_runs.origin_of(run)
    number = policy_changes.exempt_many(owner, ids, reason=run.reason, until=run.until, origin=origin)
    run.exempted += number
    return number


EXEMPTIONS = Work(ExemptionRun, "organizations.exempt_members", OWNERS, _act, ExemptionsRunning)

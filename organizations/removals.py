"""Removal of many members: the chosen ones at once, all who match by a worker."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import member_runs, membership
from organizations.member_runs import Work
from organizations.models import MANAGERS, Membership, Removal


class RemovalRunning(Refused):
    """A removal of the organization is not done yet."""

    message = _("Members of this organization are being removed already. Wait until this is done.")


def remove_chosen(actor: Membership, user_ids: list[UUID], origin: Origin) -> int:
    """Remove some members at once. Return their number. Raise ``RoleMissing``."""
    with transaction.atomic(durable=True):
        rows = Membership.objects.filter(organization=actor.organization_id, user__in=user_ids)
        return membership.remove_many(actor, list(rows.values_list("pk", flat=True)), origin)


def start(actor: Membership, *, state: str, search: str, origin: Origin) -> Removal:
    """Begin to remove all members who match. Raise ``RoleMissing`` or ``RemovalRunning``."""
    run = Removal(organization=actor.organization, actor=actor.user, state=state, search=search)
    run.ip_address, run.agent = origin.ip_address, origin.agent[:255]
    with transaction.atomic(durable=True):
        return member_runs.start(REMOVALS, actor, run)


def _act(run: Removal, actor: Membership, ids: list[int]) -> int:
    removed = membership.remove_many(actor, ids, member_runs.origin_of(run))
    run.removed += removed
    return removed


REMOVALS = Work(Removal, "organizations.remove_members", MANAGERS, _act, RemovalRunning)

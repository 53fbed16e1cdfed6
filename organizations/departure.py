"""A deleted account leaves its organizations. Their logs keep what it did, without its address (SR-63).

The user's row is locked before the organizations, these in the order of their ids: no two transactions deadlock.
"""

from uuid import UUID

from django.db.models import QuerySet, Value
from django.db.models.functions import Concat, Substr
from django.utils import timezone

from accounts.identifiers import key_of
from accounts.models import EmailChange, User
from accounts.security_log import Origin
from organizations import membership
from organizations.models import (
    DELETED_ACCOUNT,
    EventKind,
    ExemptionRun,
    Invitation,
    Membership,
    Organization,
    OrganizationEvent,
    Removal,
)

BATCH = 500


def check(user: User) -> None:
    """Lock the organizations of a user. Raise ``LastOwner`` if one would have no owner left who can use it."""
    if membership.owned_alone(_lock_all(user)):
        raise membership.LastOwner


def _lock_all(user: User) -> list[Membership]:
    mine = Organization.objects.filter(memberships__user=user).order_by("pk").values_list("pk", flat=True)
    ids = list(mine)
    for start in range(0, len(ids), BATCH):
        some = Organization.objects.select_for_update(no_key=True).filter(pk__in=ids[start : start + BATCH])
        list(some.order_by("pk").values_list("pk"))
    rows = Membership.objects.filter(user=user).select_related("organization", "user")
    return list(rows.order_by("organization_id"))


def leave_all(user: User) -> None:
    """End all memberships of a user, and anonymise what the organizations noted. Call after ``check``."""
    for mine in _lock_all(user):
        membership.take_out(mine, mine, EventKind.ACCOUNT_DELETED, Origin())
    emails = _emails_of(user)
    invitations = Invitation.objects.filter(email_key__in=[key_of(email) for email in emails])
    acts = OrganizationEvent.objects.filter(actor=user)
    _anonymise_subjects(emails, _where_quoted(acts | OrganizationEvent.objects.filter(member=user.pk), invitations))
    for runs in (Removal.objects.filter(actor=user), ExemptionRun.objects.filter(actor=user)):
        runs.filter(done_at=None).update(done_at=timezone.now())
        runs.update(ip_address=None, agent="", search="")
    acts.update(actor_email=DELETED_ACCOUNT, ip_address=None, agent="")
    invitations.delete()


def _emails_of(user: User) -> set[str]:
    """Return the addresses of a user that a log may quote: the present one, and those of earlier acts."""
    acts = OrganizationEvent.objects.filter(actor=user).exclude(actor_email="")
    earlier = EmailChange.objects.filter(user=user).values_list("old_email", flat=True)
    return {user.email, *acts.values_list("actor_email", flat=True).distinct(), *earlier} - {DELETED_ACCOUNT}


def _where_quoted(events: QuerySet[OrganizationEvent], invitations: QuerySet[Invitation]) -> list[UUID]:
    """Return the organizations whose log may quote the user: where the user acted, or was exempted or invited."""
    found = [rows.values_list("organization_id", flat=True).distinct() for rows in (events, invitations)]
    return list({*found[0], *found[1]})


def _anonymise_subjects(emails: set[str], organizations: list[UUID]) -> None:
    """Replace the addresses in what events are about: the address alone, or what follows it after a colon."""
    events = OrganizationEvent.objects.filter(organization__in=organizations)
    for email in emails:
        events.filter(subject__iexact=email).update(subject=DELETED_ACCOUNT)
        rest = Concat(Value(DELETED_ACCOUNT), Substr("subject", len(email) + 1))
        events.filter(subject__istartswith=f"{email}: ").update(subject=rest)

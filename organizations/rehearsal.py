"""Rehearsal: record whom a policy would block before it is in force, when and from which IP address."""

from datetime import timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import Channel, User
from accounts.security_log import Origin
from organizations.models import Organization, RehearsalHit

# A user at work makes many requests: those within this interval count as one hit.
HIT_INTERVAL = timedelta(minutes=10)


def note(organization: Organization, user: User, channel: Channel, origin: Origin) -> None:
    """Record that the policy would have blocked ``user``. One query, rarely two."""
    now = timezone.now()
    hit, is_new = RehearsalHit.objects.get_or_create(
        organization=organization, user=user, channel=channel, defaults={"ip_address": origin.ip_address}
    )
    if not is_new and now - hit.last_at > HIT_INTERVAL:
        RehearsalHit.objects.filter(pk=hit.pk).update(count=F("count") + 1, last_at=now, ip_address=origin.ip_address)


def hits(organization: Organization) -> QuerySet[RehearsalHit]:
    """Return the recorded hits, most recent first."""
    return RehearsalHit.objects.filter(organization=organization).select_related("user").order_by("-last_at", "pk")


def count_members(organization: Organization) -> int:
    """Return the number of members whom the policy would have blocked. One query."""
    return RehearsalHit.objects.filter(organization=organization).values("user").distinct().count()


def forget(organization: Organization) -> None:
    """Delete the hits of earlier rehearsals."""
    RehearsalHit.objects.filter(organization=organization).delete()

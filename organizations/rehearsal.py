"""Report-only: who would have been stopped by a policy that is not in force yet, when and from where."""

from datetime import timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import Channel, User
from accounts.security_log import Origin
from organizations.models import Organization, RehearsalHit

# One person at work makes many requests: they are one hit for a while.
HIT_INTERVAL = timedelta(minutes=10)


def note(organization: Organization, user: User, channel: Channel, origin: Origin) -> None:
    """Note that ``user`` would have been stopped here. One query, rarely two."""
    now = timezone.now()
    hit, is_new = RehearsalHit.objects.get_or_create(
        organization=organization, user=user, channel=channel, defaults={"ip_address": origin.ip_address}
    )
    if not is_new and now - hit.last_at > HIT_INTERVAL:
        RehearsalHit.objects.filter(pk=hit.pk).update(count=F("count") + 1, last_at=now, ip_address=origin.ip_address)


def hits(organization: Organization) -> QuerySet[RehearsalHit]:
    """Give who would have been stopped, the last one first."""
    return RehearsalHit.objects.filter(organization=organization).select_related("user").order_by("-last_at", "pk")


def people(organization: Organization) -> int:
    """Count who would have been stopped."""
    return RehearsalHit.objects.filter(organization=organization).values("user").distinct().count()


def forget(organization: Organization) -> None:
    """Begin anew."""
    RehearsalHit.objects.filter(organization=organization).delete()

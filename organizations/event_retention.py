"""How long an organization's security log is kept (SR-53; docs/decisions.md#53).

An event is deleted after ``SECURITY_LOG_RETENTION``, but for those that the evidence sheet quotes: whether MFA was
required without a break since a day years ago cannot be told without them. They lose what the sheet does not quote, the
IP address and the browser.
"""

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.housekeeping import delete_in_batches
from organizations.compliance import EVIDENCE
from organizations.models import OrganizationEvent

BATCH = 1000


def forget_old() -> int:
    """Delete old events and strip those that stay. Return the number of rows changed."""
    old = OrganizationEvent.objects.filter(at__lt=timezone.now() - settings.SECURITY_LOG_RETENTION).order_by("at")
    count = delete_in_batches(old.exclude(kind__in=EVIDENCE))
    traced = old.filter(kind__in=EVIDENCE).filter(Q(ip_address__isnull=False) | ~Q(agent=""))
    while batch := list(traced.values_list("pk", flat=True)[:BATCH]):
        count += OrganizationEvent.objects.filter(pk__in=batch).update(ip_address=None, agent="")
    return count

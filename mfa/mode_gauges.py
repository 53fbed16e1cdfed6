"""Gauges of how many accounts use which mode, for ``/metrics``. They name no one (SR-55)."""

from collections import Counter

from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily

from accounts.gauges import DatabaseGauges
from accounts.models import User
from mfa import modes

NO_MODE = "none"


def _read() -> list[GaugeMetricFamily]:
    """Read the gauges. One query, which reads all accounts."""
    having: Counter[str] = Counter()
    total = 0
    rows = User.objects.filter(is_active=True).values_list("enabled_modes").annotate(number=Count("pk"))
    for enabled, number in rows:
        total += number
        having.update(dict.fromkeys(enabled.split() or [NO_MODE], number))
    accounts = GaugeMetricFamily("portal_accounts", "Active accounts.", value=total)
    adoption = GaugeMetricFamily(
        "portal_mfa_accounts",
        f"Active accounts that have a mode enabled. {NO_MODE}: MFA is off. One with two modes counts in both.",
        labels=["mode"],
    )
    for mode in (*modes.ALL, NO_MODE):
        adoption.add_metric([mode], having[mode])
    return [accounts, adoption]


# Changes slowly, and with a million accounts the query takes a while.
gauges = DatabaseGauges(_read, kept_seconds=300)
forget = gauges.forget

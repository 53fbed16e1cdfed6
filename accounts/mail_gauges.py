"""Gauges of mail that ``/metrics`` asks of the database: what no single process knows (SR-55).

They are computed when they are asked for and never stored by a process, so several processes do not add them up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import structlog
from django.db import DatabaseError
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from accounts import mail_breaker, mail_status

log = structlog.get_logger(__name__)

# Several scrapers, or one that is misconfigured, do not ask the database more often.
KEPT_SECONDS = 5.0


@dataclass
class _Kept:
    gauges: list[GaugeMetricFamily]
    until: float = 0.0


_kept = _Kept([])


def forget() -> None:
    """Ask the database the next time."""
    _kept.until = 0.0


class MailCollector(Collector):
    """Reads the gauges. Without a database there are none, and the counters of ``/metrics`` still come."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the gauges, at most ``KEPT_SECONDS`` old."""
        if monotonic() >= _kept.until:
            try:
                _kept.gauges = _read()
            except DatabaseError as error:
                log.warning("mail_gauges.no_database", error=type(error).__name__)
                return
            _kept.until = monotonic() + KEPT_SECONDS
        yield from _kept.gauges


REGISTRY = CollectorRegistry()
REGISTRY.register(MailCollector())


def _read() -> list[GaugeMetricFamily]:
    """Read the gauges. Seven queries."""
    length = GaugeMetricFamily(
        "portal_mail_queue_length", f"Unsent mails, counted up to {mail_status.MAX_COUNTED}.", labels=["queue"]
    )
    oldest = GaugeMetricFamily(
        "portal_mail_oldest_unsent_seconds", "Age of the oldest unsent mail; 0 if there is none.", labels=["queue"]
    )
    for queue in mail_status.queues():
        length.add_metric([queue.name], queue.length.value)
        oldest.add_metric([queue.name], queue.oldest.total_seconds())
    breaker = GaugeMetricFamily(
        "portal_mail_breaker", "1 for the state of the primary mail route's circuit breaker.", labels=["state"]
    )
    now = mail_breaker.state_of(mail_breaker.row())
    for state in mail_breaker.State:
        breaker.add_metric([str(state)], float(state == now))
    return [length, oldest, breaker]

"""Gauges that ``/metrics`` asks of the database: what no single process knows (SR-55).

They are computed when they are asked for and never stored by a process, so several processes do not add them up.
"""

from collections.abc import Callable, Iterator
from time import monotonic

import structlog
from django.db import DatabaseError
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)


class DatabaseGauges(Collector):
    """Gauges that are kept for some seconds, so that several scrapers do not ask the database more often."""

    def __init__(self, read: Callable[[], list[GaugeMetricFamily]], *, kept_seconds: float) -> None:
        """Note how the gauges are read, and for how long they are kept."""
        self._read = read
        self._kept_seconds = kept_seconds
        self._gauges: list[GaugeMetricFamily] = []
        self._until = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the gauges. Without a database there are none, and the counters of ``/metrics`` still come."""
        if monotonic() >= self._until:
            try:
                self._gauges = self._read()
            except DatabaseError as error:
                log.warning("gauges.no_database", error=type(error).__name__)
                return
            self._until = monotonic() + self._kept_seconds
        yield from self._gauges

    def forget(self) -> None:
        """Ask the database the next time."""
        self._until = 0.0

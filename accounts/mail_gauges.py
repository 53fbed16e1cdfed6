"""Gauges of mail that ``/metrics`` asks of the database."""

from prometheus_client.core import GaugeMetricFamily

from accounts import mail_breaker, mail_status
from accounts.gauges import DatabaseGauges


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


gauges = DatabaseGauges(_read, kept_seconds=5)
forget = gauges.forget

"""Counters of every outcome of every step, without personal data (SR-55)."""

from datetime import timedelta

from prometheus_client import Counter, Histogram

OUTCOMES = Counter("portal_outcomes", "Outcomes of the steps that users and workers take.", ["step", "outcome"])


def count(step: str, outcome: str) -> None:
    """Count an outcome. Both arguments are constants of the code, never user input."""
    OUTCOMES.labels(step, outcome).inc()


SECONDS = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
ACCEPTED = Histogram(
    "portal_mail_accepted_seconds",
    "Seconds from writing a mail until a mail server or provider accepted it.",
    ["provider", "queue"],
    buckets=SECONDS,
)
DELIVERED = Histogram(
    "portal_mail_delivered_seconds",
    "Seconds from accepting a mail until its provider reported that it was delivered.",
    ["provider"],
    buckets=SECONDS,
)


def accepted(provider: str, queue: str, after: timedelta) -> None:
    """Count a mail that a provider accepted. ``provider`` comes from the settings."""
    ACCEPTED.labels(provider, queue).observe(max(after.total_seconds(), 0))


def delivered(provider: str, after: timedelta) -> None:
    """Count a mail that was delivered, ``after`` the provider had accepted it."""
    DELIVERED.labels(provider).observe(max(after.total_seconds(), 0))

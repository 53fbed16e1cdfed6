"""Counters of every outcome of every step, without personal data (SR-55)."""

from prometheus_client import Counter

OUTCOMES = Counter("portal_outcomes", "Outcomes of the steps that users and workers take.", ["step", "outcome"])


def count(step: str, outcome: str) -> None:
    """Count an outcome. Both arguments are constants of the code, never user input."""
    OUTCOMES.labels(step, outcome).inc()

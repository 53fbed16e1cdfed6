"""Counters of every outcome of every step, without personal data (SR-55)."""

from prometheus_client import Counter

OUTCOMES = Counter("portal_outcomes", "What came of what people and workers did.", ["step", "outcome"])


def count(step: str, outcome: str) -> None:
    """Count an outcome. Both are words of the code, never something that a person typed."""
    OUTCOMES.labels(step, outcome).inc()

"""Counters of every outcome of every step, without personal data (SR-55)."""

from datetime import timedelta
from enum import StrEnum

from prometheus_client import Counter, Histogram

OUTCOMES = Counter("portal_outcomes", "Outcomes of the steps that users and workers take.", ["step", "outcome"])


def count(step: str, outcome: str) -> None:
    """Count an outcome. Both arguments are constants of the code, never user input."""
    OUTCOMES.labels(step, outcome).inc()


SIGN_INS = Counter(
    "portal_sign_ins", "Steps of sign-ins by outcome, and by the mode that was asked for.", ["outcome", "mode"]
)
THROTTLED = Counter("portal_throttled", "Tries and mails that a limit refused.", ["step"])
NO_MODE = "none"


class SignIn(StrEnum):
    """What can become of a step of a sign-in."""

    SUCCESS = "success"
    WRONG_CREDENTIALS = "wrong_password"
    WRONG_CODE = "wrong_code"
    THROTTLED = "throttled"


def count_sign_in(outcome: SignIn, *, mode: str = "") -> None:
    """Count the outcome of a sign-in's step. ``mode`` is blank for a password or key, and where MFA is off."""
    SIGN_INS.labels(outcome, mode or NO_MODE).inc()


def count_throttled(step: str) -> None:
    """Count what a limit refused. ``step`` is the key of the limit."""
    THROTTLED.labels(step).inc()


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


TASKS = Histogram(
    "portal_task_seconds", "Seconds that a task ran, by its outcome.", ["task", "outcome"],
    buckets=(0.01, 0.05, 0.25, 1, 5, 30, 120),
)  # fmt: skip


def task_ran(task: str, outcome: str, seconds: float) -> None:
    """Count a run of a task. ``task`` is the name of a registered one."""
    TASKS.labels(task, outcome).observe(seconds)

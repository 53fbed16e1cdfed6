"""How long tasks run and how they end, from Celery's signals."""

from time import perf_counter

from celery import Task
from celery.signals import task_postrun, task_prerun

from accounts import metrics

_started: dict[str, float] = {}


def count_tasks() -> None:
    """Count every task that this process runs."""
    task_prerun.connect(_note_start)
    task_postrun.connect(_count)


def _note_start(task_id: str, **_signal: object) -> None:
    _started[task_id] = perf_counter()


def _count(task_id: str, task: "Task[..., object]", state: str | None, **_signal: object) -> None:
    started_at = _started.pop(task_id, None)
    if started_at is not None:
        metrics.task_ran(task.name, (state or "unknown").lower(), perf_counter() - started_at)

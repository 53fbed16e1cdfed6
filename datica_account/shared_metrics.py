"""The metrics of all processes that share ``PROMETHEUS_MULTIPROC_DIR``, also of those that have ended.

Each process has a file for each type of metric, named for its process id. If the files of ended processes were deleted,
counters would fall, and Prometheus would take what is left for new. So they are added up into one file for each type.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from datica_account.metrics_folder import VARIABLE

log = structlog.get_logger(__name__)
ENDED = "ended"  # in place of a process id


class SharedMetrics(Collector):
    """Reads the files of all processes, in the folders of all hosts."""

    def __init__(self, folder: Path) -> None:
        """Read ``folder`` and its siblings; only in it is known which processes have ended."""
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the sums."""
        with locked(self._folder):
            add_up_ended(self._folder)
            # A file of a process that is just starting may be empty.
            files = [str(file) for file in self._folder.parent.glob("*/*.db") if file.stat().st_size]
            merged: Iterable[Metric] = MultiProcessCollector.merge(files)
            return merged


def registry() -> CollectorRegistry:
    """Return the registry of all processes that count together, or that of this process alone."""
    if VARIABLE not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    shared.register(SharedMetrics(Path(os.environ[VARIABLE])))
    return shared


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock for reading and for adding up: no one else then reads a sum and its parts."""
    with (folder.parent / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def add_up_ended(folder: Path) -> None:
    """Add the files of ended processes to the sums of their type, and remove them. Call under the lock."""
    by_kind: dict[str, list[Path]] = {}
    for file in folder.glob("*.db"):
        kind, _, process = file.stem.rpartition("_")
        if process != ENDED and not _is_alive(int(process)):
            by_kind.setdefault(kind, []).append(file)
    for kind, files in by_kind.items():
        total = folder / f"{kind}_{ENDED}.db"
        parts = [file for file in [total, *files] if file.exists() and file.stat().st_size]
        try:
            _write_sums(parts, total)
        except (RuntimeError, ValueError) as error:
            log.warning("metrics.unreadable", files=[file.name for file in files], error=type(error).__name__)
        for file in files:
            file.unlink()


def _write_sums(parts: list[Path], total: Path) -> None:
    """Write the sums of ``parts`` in a new file, and put it in the place of ``total``."""
    new = total.with_suffix(".new")
    new.unlink(missing_ok=True)
    sums: Iterable[Metric] = MultiProcessCollector.merge([str(file) for file in parts], accumulate=False)
    values = MmapedDict(str(new))
    for metric in sums:
        for sample in metric.samples:
            names, labels = list(sample.labels), list(sample.labels.values())
            values.write_value(
                mmap_key(metric.name, sample.name, names, labels, metric.documentation), sample.value, 0.0
            )
    values.close()
    new.replace(total)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True

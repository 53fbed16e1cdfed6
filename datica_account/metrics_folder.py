"""Where the processes of a machine keep their metrics, so that each of them can tell the sums (SR-55).

``choose`` must run before anything imports ``prometheus_client``, which looks for the folder once, at its import. So
this module imports neither it nor any app.
"""

import os
import socket
import sys
from pathlib import Path

import structlog
from django.conf import settings

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

log = structlog.get_logger(__name__)


def choose() -> None:
    """Make the folder of this machine's processes and let this process count there, if ``/metrics`` is on.

    Process ids name the files. Machines and containers, which may share ``PROMETHEUS_MULTIPROC_DIR``, have the same
    ids, so each has a folder of its own in it, by its host name. Without a folder a process counts for itself.
    """
    if not settings.METRICS_TOKEN or "prometheus_client" in sys.modules:
        return
    folder = Path(settings.PROMETHEUS_MULTIPROC_DIR) / socket.gethostname()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        log.warning("metrics.not_shared", folder=str(folder), error=type(error).__name__)
        return
    if os.access(folder, os.W_OK | os.X_OK):
        os.environ[VARIABLE] = str(folder)
    else:
        log.warning("metrics.not_shared", folder=str(folder), error="not writable")

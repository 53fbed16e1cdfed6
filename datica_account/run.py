"""``make run``: the portal on one machine, with no server to install.

Starts the web server, the mail worker and the clock as separate processes and ends all on Ctrl-C. One that ends by
itself is started again after a pause that grows; only one that never gets going ends the run.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Passkeys need a host name, not an IP address. Only this machine can connect to it.
HOST = "localhost"
LOOPBACK = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
GRACE_SECONDS = 15
# A process that ends within START_SECONDS has not started. After START_ATTEMPTS such ends in a row, give up.
START_SECONDS = 20
START_ATTEMPTS = 3
# The pause before a restart doubles from 1 second up to this limit. A run of STEADY_SECONDS resets it.
LONGEST_PAUSE_SECONDS = 30
STEADY_SECONDS = 60
# Argon2 fills 100 MB for each password: a third cheaper in pages of 2 MB (docs/operating.md).
HUGE_PAGES = "glibc.malloc.hugetlb=1"
# Silence warnings about root: on a developer's machine, often a container, root is a usual user.
AS_ROOT = [
    "ignore:You're running the worker with superuser privileges",
    "ignore:An entry for the specified gid or egid was not found",
]


def bindable(address: str, port: int) -> bool:
    """Return whether a server can listen there."""
    try:
        with socket.socket(LOOPBACK[address]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError:
        return False
    return True


def loopback_addresses() -> list[str]:
    """Return what ``localhost`` may mean on this machine; some have no IPv6."""
    return [address for address in LOOPBACK if bindable(address, 0)]


def port_is_free(port: int) -> bool:
    """Return whether nothing listens on the port, at any address of ``localhost``."""
    return all(bindable(address, port) for address in loopback_addresses())


def commands(port: int) -> dict[str, list[str]]:
    """Return the command lines of the processes."""
    python = [sys.executable, "-m"]
    binds = [f"--bind={f'[{address}]' if ':' in address else address}:{port}" for address in loopback_addresses()]
    quiet = [option for warning in AS_ROOT for option in ("-W", warning)]
    return {
        "web server": [*python, "gunicorn", "datica_account.wsgi", *binds, "--workers", "2", "--threads", "4",
                       "--limit-request-line", "8190", "--log-level", "warning"],
        "worker": [sys.executable, *quiet, "-m", "celery", "--quiet", "-A", "datica_account", "worker",
                   "--queues", "otp,celery,bulk", "--pool", "threads", "--concurrency", "4",
                   "--loglevel", "WARNING", "--without-mingle", "--without-gossip"],
        "clock": [*python, "celery", "--quiet", "-A", "datica_account", "beat", "--loglevel", "WARNING"],
    }  # fmt: skip


@dataclass
class Service:
    """One process of the portal, and when to start it again."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    ends_in_a_row: int = 0
    was_up: bool = False

    def start(self) -> None:
        """Start the process, in a group of its own: Ctrl-C reaches the supervisor alone."""
        self.process = subprocess.Popen(self.command, cwd=ROOT, start_new_session=True)
        self.started_at = time.monotonic()

    def note_end(self) -> None:
        """Report that the process has ended, end its children, and set the time of its restart."""
        if self.process is None or (code := self.process.poll()) is None:
            return
        self.signal_group(signal.SIGKILL)  # a killed gunicorn leaves workers that hold the port
        self.process = None
        lived = time.monotonic() - self.started_at
        self.was_up = self.was_up or lived >= START_SECONDS
        self.ends_in_a_row = 1 if lived >= STEADY_SECONDS else self.ends_in_a_row + 1
        pause = min(2 ** (self.ends_in_a_row - 1), LONGEST_PAUSE_SECONDS)
        self.start_at = time.monotonic() + pause
        if not self.cannot_start():
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            sys.stderr.write(f"The {self.name} ended ({how}). Starting it again in {pause} s.\n")

    def cannot_start(self) -> bool:
        """Return whether the process has ended again and again without ever getting going."""
        return self.process is None and not self.was_up and self.ends_in_a_row >= START_ATTEMPTS

    def tend(self) -> None:
        """Start the process when its time has come."""
        self.note_end()
        if self.process is None and not self.cannot_start() and time.monotonic() >= self.start_at:
            self.start()

    def signal_group(self, number: int) -> None:
        """Signal the process and its children, also those that outlived it."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def wait(self, seconds: float) -> None:
        """Wait for the process to end, then end what is left of its group."""
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.1, seconds))
            self.signal_group(signal.SIGKILL)


def stop(services: list[Service]) -> None:
    """End the processes, softly first."""
    for service in services:
        service.signal_group(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for service in services:
        service.wait(deadline - time.monotonic())


def main() -> int:
    """Prepare, start, supervise, stop. Return the exit code."""
    try:
        port = int(os.environ.get("PORT", "8000"))
    except ValueError:
        sys.stderr.write(f"PORT is not a number: {os.environ['PORT']}\n")
        return 2
    if not port_is_free(port):
        sys.stderr.write(f"Port {port} is in use. Choose another one: make run PORT={port + 1}\n")
        return 2
    os.environ.setdefault("DEVELOPMENT", "1")
    os.environ.setdefault("LOG_LEVEL", "WARNING")  # what people look for here are the mails
    os.environ.setdefault("GLIBC_TUNABLES", HUGE_PAGES)
    os.environ.setdefault("HASHED_STATIC_FILES", "1")
    manage = [sys.executable, str(ROOT / "manage.py")]
    for preparation in (["migrate"], ["collectstatic", "--no-input"]):
        command = [*manage, *preparation, "--verbosity", "0"]
        if (failed := subprocess.run(command, cwd=ROOT, check=False).returncode) != 0:
            return failed
    sys.stdout.write(f"\nThe portal:     http://{HOST}:{port}/account\n")
    sys.stdout.write(f"Mail appears:   http://{HOST}:{port}/development/inbox  (and below, and in DATA_DIR/mail/)\n")
    sys.stdout.write("Demo accounts:\n")
    sys.stdout.flush()
    subprocess.run([*manage, "demo"], cwd=ROOT, check=False)
    sys.stdout.write("\nCtrl-C stops it.\n")
    sys.stdout.flush()
    return serve([Service(name, command) for name, command in commands(port).items()])


def serve(services: list[Service]) -> int:
    """Keep the processes running until a signal comes, or until one of them cannot start. Return the exit code."""
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _frame: stopping.append(signum))
    while not stopping:
        for service in services:
            service.tend()
        if failed := [service.name for service in services if service.cannot_start()]:
            stop(services)
            sys.stderr.write(f"The {failed[0]} cannot start. Its last output is above.\n")
            return 1
        time.sleep(0.2)
    stop(services)
    return 0


if __name__ == "__main__":
    sys.exit(main())

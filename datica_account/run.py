"""``make run``: the portal and its worker on one machine, with no server to install.

Starts gunicorn and a Celery worker (with its clock) as separate processes and ends both on Ctrl-C, or
when one of them ends by itself.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
GRACE_SECONDS = 15


def port_is_free(port: int) -> bool:
    """Whether nothing listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def commands(port: int) -> list[list[str]]:
    """Give the command lines of the processes."""
    python = [sys.executable, "-m"]
    return [
        [*python, "gunicorn", "datica_account.wsgi", "--bind", f"{HOST}:{port}", "--workers", "2", "--threads", "4",
         "--limit-request-line", "8190",
         "--log-level", "warning"],
        [*python, "celery", "--quiet", "-A", "datica_account", "worker", "--beat", "--queues", "otp,celery,bulk",
         "--pool", "threads", "--concurrency", "4", "--loglevel", "WARNING", "--without-mingle", "--without-gossip"],
    ]  # fmt: skip


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a process and its children, also those that outlived it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes, softly first."""
    for process in processes:
        signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
        signal_group(process, signal.SIGKILL)


def main() -> int:
    """Prepare, start, wait, stop. Gives the exit code."""
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
    manage = [sys.executable, str(ROOT / "manage.py")]
    if (failed := subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, check=False).returncode) != 0:
        return failed
    sys.stdout.write(f"\nThe portal:     http://{HOST}:{port}/account\n")
    sys.stdout.write(f"Mail appears:   http://{HOST}:{port}/development/inbox  (and below, and in DATA_DIR/mail/)\n")
    sys.stdout.write("Demo accounts:\n")
    sys.stdout.flush()
    subprocess.run([*manage, "demo"], cwd=ROOT, check=False)
    sys.stdout.write("\nCtrl-C stops it.\n")
    sys.stdout.flush()
    return serve(port)


def serve(port: int) -> int:
    """Run web and worker until a signal or until one of them ends. Gives the exit code."""
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _frame: stopping.append(signum))
    # Each in a group of its own: Ctrl-C reaches this process alone, which then ends them in order.
    processes = [subprocess.Popen(command, cwd=ROOT, start_new_session=True) for command in commands(port)]
    while not stopping and all(process.poll() is None for process in processes):
        time.sleep(0.2)
    failed = not stopping
    stop(processes)
    if failed:
        sys.stderr.write("A process of the portal ended by itself; its last words are above.\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

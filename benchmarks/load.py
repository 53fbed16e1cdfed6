"""``make load``: people sign in at once on several replicas of the portal, on one machine.

    python -m benchmarks.load

Starts PostgreSQL, Redis, a mail server, ``REPLICAS`` web servers behind HAProxy and as many workers, each with a folder
of its own. For ``SECONDS`` seconds ``PEOPLE`` people at a time sign in by mailed code and by authenticator in turn. The
proxy gives each of a sign-in's requests to the next replica. Prints sign-ins a second, how long requests took, and
everything that went wrong; ends with 1 if anything did.

``RESTART`` restarts web servers and workers meanwhile, one after the other:

* ``roll``: each web server is taken out of the proxy, restarted and put back;
* ``stop``: it is only restarted, and the proxy finds out;
* ``reload``: each gets SIGHUP, as for new code in the same place;
* ``socket``: one web server without a proxy, whose socket the supervisor keeps open (systemd's socket activation).

``PGBOUNCER=transaction`` puts PgBouncer between portal and PostgreSQL.
"""

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack

from tests import production, servers
from tests.production import Site, Visitor, mode_of

SECONDS = float(os.environ.get("SECONDS", "30"))
PEOPLE = int(os.environ.get("PEOPLE", "6"))
REPLICAS = int(os.environ.get("REPLICAS", "2"))
WORKERS = int(os.environ.get("WORKERS", "2"))
RESTART = os.environ.get("RESTART", "")
PGBOUNCER = os.environ.get("PGBOUNCER", "")
RESTART_PAUSE = 2.0


class Load:
    """People who sign in until they are told to stop."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.over = threading.Event()
        self.took: list[float] = []
        self.signed_in: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.connections = 0
        self._lock = threading.Lock()

    def sign_in_again_and_again(self) -> None:
        """Be one person after the other."""
        while not self.over.is_set():
            with self._lock:
                email = next(self.site.people)
            visitor = Visitor(self.site.url)
            try:
                visitor = production.sign_in(self.site, email, visitor=visitor)
                is_in = visitor.is_signed_in()
            except AssertionError:
                is_in = False
            with self._lock:
                self.took += visitor.took
                self.answers += visitor.answers
                self.problems.update(visitor.failures)
                if is_in:
                    self.signed_in[mode_of(email)] += 1
                elif not visitor.failures:
                    self.problems[f"{email} was not signed in, at {visitor.path}"] += 1

    def watch_postgresql(self) -> None:
        """Note the most connections that PostgreSQL had."""
        question = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'portal' AND pid <> pg_backend_pid()"
        server = ["psql", "-h", "127.0.0.1", "-p", str(self.site.database.port), "-U", "portal", "-At", "-c", question]
        while not self.over.wait(1):
            answer = subprocess.run([*server, "postgres"], capture_output=True, text=True, check=False).stdout
            self.connections = max(self.connections, int(answer or 0))


def restart(load: Load, webs: list[production.Process], workers: list[production.Process]) -> int:
    """Restart one process after the other until time is over. Return how many."""
    count = 0
    while not load.over.wait(RESTART_PAUSE):
        number = count % len(webs + workers)
        process = (webs + workers)[number]
        if RESTART == "reload" and process in webs:
            process.signal(signal.SIGHUP)
        elif RESTART == "roll" and process in webs:
            load.site.drain(number)
            process.stop()
            process.start()
            load.site.tell_proxy(f"set server portal/web{number} state ready")
        else:
            process.stop()
            process.start()
        count += 1
    return count


def main() -> int:
    """Run the load and print what came of it."""
    with ExitStack() as stack:
        environment = {"LOG_LEVEL": "WARNING"}
        if PGBOUNCER:
            environment |= {"DATABASE_POOL": os.environ.get("DATABASE_POOL", "1")}
            environment |= {"DATABASE_PREPARED": os.environ.get("DATABASE_PREPARED", "1")}
            environment |= {"DATABASE_SERVER_CURSORS": os.environ.get("DATABASE_SERVER_CURSORS", "0")}
        site = stack.enter_context(production.site(**environment))
        site.people = site.seed(first=1000, count=600)
        if PGBOUNCER:
            site.start_pgbouncer(PGBOUNCER)
        if RESTART == "socket":
            webs = [site.start_web("web", workers=WORKERS, keep_socket=True)]
        else:
            ports = [servers.free_port() for _ in range(REPLICAS)]
            webs = [site.start_web(f"web{number}", port=port, workers=WORKERS) for number, port in enumerate(ports)]
            site.start_proxy(ports)
        workers = [site.start_worker(f"worker{number}") for number in range(REPLICAS)]
        beats = [site.start_beat(f"beat{number}") for number in range(int(os.environ.get("BEATS", "1")))]
        load = Load(site)
        people = [threading.Thread(target=load.sign_in_again_and_again) for _ in range(PEOPLE)]
        watcher = threading.Thread(target=load.watch_postgresql)
        restarts: list[int] = []
        restarter = threading.Thread(target=lambda: restarts.append(restart(load, webs, workers) if RESTART else 0))
        started = time.monotonic()
        for thread in (*people, watcher, restarter):
            thread.start()
        time.sleep(SECONDS)
        load.over.set()
        for thread in (*people, watcher, restarter):
            thread.join()
        took = time.monotonic() - started
        for process in beats:
            process.stop()
        return report(load, took, restarts[0])


def report(load: Load, took: float, restarts: int) -> int:
    """Print the figures. Return 1 if anything went wrong."""
    times = sorted(load.took)
    twice = sum(len(set(codes)) < len(codes) for codes in load.site.all_codes().values())
    signed_in = sum(load.signed_in.values())
    print(f"{REPLICAS} replicas of {WORKERS} processes, {PEOPLE} people at a time, {took:.0f} s, {restarts} restarts")
    print(f"{signed_in} sign-ins ({dict(load.signed_in)}): {signed_in / took:.2f} a second")
    print(f"{len(times)} requests: median {statistics.median(times) * 1000:.0f} ms, "
          f"95 % within {times[int(len(times) * 0.95)] * 1000:.0f} ms, slowest {times[-1] * 1000:.0f} ms")  # fmt: skip
    print(f"answers {dict(load.answers)}; {twice} codes came twice")
    print(f"PostgreSQL had {load.connections} connections at most")
    for problem, count in load.problems.most_common(10):
        print(f"  {count} × {problem}")
    return 1 if load.problems or not signed_in else 0


if __name__ == "__main__":
    sys.exit(main())

"""PostgreSQL is restarted under a running portal: its pooled connections are stale, and no request fails for it."""

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import pytest

from tests import servers
from tests.stack import PRODUCTION, ROOT, _clean_environment, _run

pytestmark = pytest.mark.browser
THREADS = 6
REQUESTS = 30
READY = "/readyz?exclude=broker"  # there is none here


@pytest.fixture
def database():
    context = servers.restartable_postgresql()
    yield servers.or_skip(context.__enter__)
    context.__exit__(None, None, None)


@contextmanager
def web(database):
    """Run gunicorn as in the README; give its port."""
    port = servers.free_port()
    environment = _clean_environment(
        **{
            **PRODUCTION,
            "DATABASE_URL": database.url,
            "DATABASE_POOL": "1",
            "SITE_URL": f"http://127.0.0.1:{port}",
            "ALLOWED_HOSTS": "127.0.0.1",
        }
    )
    _run(["migrate", "--verbosity", "0"], environment)
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "datica_account.wsgi", "--bind", f"127.0.0.1:{port}",
               "--workers", "2", "--threads", "4", "--log-level", "critical"]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        servers.wait_for_port(port, process)
        yield port
    finally:
        servers.end(process)


def ask(port: int, path: str = "/account/view") -> int:
    """Ask for a page with a session that the database must be asked about; there is none, so it leads to signing in."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers={"Cookie": "session=abcdefghijklmnopqrstuvwxyz012345"})
        return connection.getresponse().status


def statuses(port: int) -> Counter:
    """Send some requests at once, so that every pool hands out all that it has."""
    with ThreadPoolExecutor(THREADS) as threads:
        return Counter(threads.map(ask, [port] * REQUESTS))


def wait_for(port: int, status: int) -> None:
    """Probe until the portal answers with this status."""
    deadline = time.monotonic() + 60
    while (answer := ask(port, READY)) != status:
        assert time.monotonic() < deadline, f"still {answer}"
        time.sleep(0.2)


def test_a_restarted_database_costs_no_request_an_error(database):
    with web(database) as port:
        assert statuses(port) == {302: REQUESTS}

        database.stop()
        database.start()

        assert statuses(port) == {302: REQUESTS}


def test_probes_tell_that_the_database_is_away_and_back(database):
    """SR-62: and the process itself stays alive."""
    with web(database) as port:
        wait_for(port, 200)

        database.stop()
        wait_for(port, 503)
        assert ask(port, "/healthz") == 200

        database.start()
        wait_for(port, 200)

"""PostgreSQL is restarted under a running portal: its pooled connections are stale, and no request fails for it."""

import subprocess
import sys
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


def ask(port: int) -> int:
    """Ask for a page with a session that the database must be asked about; there is none, so it leads to signing in."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/account/view", headers={"Cookie": "session=abcdefghijklmnopqrstuvwxyz012345"})
        return connection.getresponse().status


def statuses(port: int) -> Counter:
    """Send some requests at once, so that every pool hands out all that it has."""
    with ThreadPoolExecutor(THREADS) as threads:
        return Counter(threads.map(ask, [port] * REQUESTS))


def test_a_restarted_database_costs_no_request_an_error(database):
    with web(database) as port:
        assert statuses(port) == {302: REQUESTS}

        database.stop()
        database.start()

        assert statuses(port) == {302: REQUESTS}

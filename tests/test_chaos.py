"""Each process is killed once, between the password and the code of a sign-in, and the sign-in goes on."""

import json
import os
import signal
import time
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.production import Visitor, app_code, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(production):
    """The site with one process of each kind."""
    production.processes = {
        "web": production.start_web("chaos-web"),
        "worker": production.start_worker("chaos-worker"),
        "beat": production.start_beat("chaos-beat"),
        "redis": production.redis,
    }
    yield production
    for name in ("web", "worker", "beat"):
        production.processes[name].kill()


def kill_web_worker(site):
    """Kill one of the processes that serve; gunicorn starts another."""
    while not (workers := site.processes["web"].children()):
        time.sleep(0.05)
    os.kill(workers[0], signal.SIGKILL)


def kill_and_start(name):
    """Kill all processes of a kind, and start them again as a supervisor does."""

    def act(site):
        site.processes[name].kill()
        site.processes[name].start()

    return act


def kill_postgresql(site):
    """End the database as a crash does, and start it again."""
    site.database.stop("immediate")
    site.database.start()


KILLS = {
    "one web worker": kill_web_worker,
    "the web server": kill_and_start("web"),
    "the mail worker": kill_and_start("worker"),
    "the scheduler": kill_and_start("beat"),
    "Redis": kill_and_start("redis"),
    "PostgreSQL": kill_postgresql,
}


def keep_running(site):
    """Start again what ended by itself, as a supervisor does: Celery may when Redis is killed."""
    for process in site.processes.values():
        if process.popen.poll() is not None:
            process.start()


# An authenticator asks nothing of the other processes.
CASES = [*(("email", victim) for victim in KILLS), ("authenticator", "one web worker"), ("authenticator", "PostgreSQL")]


@pytest.mark.parametrize(("mode", "victim"), CASES)
def test_a_sign_in_survives(site, victim, mode):
    """Nothing is lost: the code arrives, and is right."""

    def happens():
        KILLS[victim](site)
        keep_running(site)

    visitor = sign_in(site, site.somebody(mode), meanwhile=happens)

    assert visitor.is_signed_in(), site.logs()
    assert visitor.failures == []


def test_without_redis_a_code_is_mailed(site):
    """The web server mails it itself."""
    site.redis.kill()

    visitor = sign_in(site, site.somebody("email"))

    assert visitor.is_signed_in()
    assert visitor.failures == []
    site.redis.start()
    keep_running(site)


def test_without_its_database_the_portal_says_so_in_words(site):
    """SR-32: a 503 that says when to come back; and the sign-in goes on afterwards."""
    email, visitor = site.somebody("authenticator"), Visitor(site.url)
    visitor.give_password(email)
    site.database.stop("immediate")

    assert visitor.open("/account/login/otp") == 503
    assert "The portal is not available at the moment" in visitor.page
    with closing(HTTPConnection("127.0.0.1", site.port, timeout=60)) as connection:
        connection.request("GET", "/environments", headers={"Authorization": "Bearer datica_unknown"})
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["code"]) == (503, 5030)
        assert int(answer.headers["Retry-After"]) > 0

    site.database.start()
    visitor.open("/account/login/otp")
    visitor.give_code(app_code(email))
    assert visitor.is_signed_in(), (visitor.answers, visitor.failures, site.logs())

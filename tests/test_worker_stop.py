"""A worker that is stopped gives back to Redis what it holds, though Redis keeps no record of that."""

import os
import signal
import subprocess
import sys

import pytest
import redis

from tests import servers
from tests.check import PRODUCTION
from tests.stack import ROOT

PATIENCE_SECONDS = 90
WORKER = """
import sys, time
from datica_account.celery import app

@app.task(name="tests.slow")
def slow():
    print("begun", flush=True)
    time.sleep(1)
    print("done", flush=True)

app.worker_main(["worker", "-Q", "otp", "--pool", "threads", "--concurrency", "1", "--loglevel", "ERROR"])
"""
SEND = """
from datica_account.celery import app

app.send_task("tests.slow", queue="otp", countdown=600)  # as a mail that is to be tried again
app.send_task("tests.slow", queue="otp")
"""


@pytest.fixture
def broker():
    context = servers.redis()
    yield servers.or_skip(context.__enter__)
    context.__exit__(None, None, None)


def test_a_stopped_worker_finishes_its_task_and_gives_back_the_other(broker):
    environment = {**os.environ, **PRODUCTION, "CELERY_BROKER_URL": broker}
    python = [sys.executable, "-W", "ignore", "-c"]
    subprocess.run([*python, SEND], cwd=ROOT, env=environment, check=True)
    kept = redis.Redis.from_url(broker)

    with subprocess.Popen([*python, WORKER], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        try:
            while "begun" not in worker.stdout.readline():
                assert worker.poll() is None
            held = kept.llen("otp"), kept.exists("unacked")
            worker.send_signal(signal.SIGTERM)
            told = worker.communicate(timeout=PATIENCE_SECONDS)[0]
        finally:
            worker.kill()

    assert held == (0, 0)  # the worker alone knows
    assert "done" in told
    assert kept.llen("otp") == 1

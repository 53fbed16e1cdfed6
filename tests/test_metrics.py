"""What operators count: requests, sign-ins, limits, tasks and modes, over all processes of a machine (SR-55)."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from datica_account import shared_metrics
from mfa import mode_gauges
from mfa.tests.factories import add_mode
from tests import servers
from tests.check import PRODUCTION
from tests.codes import app_code
from tests.signing_in import OTP, give_credentials

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "a token of the operators"


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.fixture
def told(client, settings):
    """Ask /metrics as a scraper does."""
    settings.METRICS_TOKEN = TOKEN
    mode_gauges.forget()

    def ask() -> dict[tuple, float]:
        page = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        return samples(page.content.decode())

    yield ask
    mode_gauges.forget()


def samples(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# --- requests ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_requests_are_counted_by_route_and_never_by_path(client, told, dana):
    give_credentials(client, "dana")
    for number in range(3):
        client.get(f"/organizations/00000000-0000-4000-8000-{number:012}/members")
        client.get(f"/no/such/page/{number}")
    client.get("/help/mfa")

    seen = told()

    views = {dict(key[1:])["view"] for key in seen if "view" in dict(key[1:])}
    assert {"help_mfa", "organizations:members", "<unnamed view>"} <= views
    assert not [view for view in views if "/" in view or "0000" in view]
    assert seen[("django_http_requests_latency_seconds_by_view_method_count", ("method", "GET"), ("view", "help_mfa"))]
    assert ("django_http_responses_total_by_status_total", ("status", "404")) in seen


@pytest.mark.django_db
def test_a_made_up_method_makes_no_metric(client, told):
    """Anonymous requests could make metrics without end: memory, files and the time of each scrape."""
    for number in range(5):
        client.generic(f"METHOD{number}", "/help/mfa")

    assert not [key for key in told() if "METHOD" in str(key)]


@pytest.mark.django_db
def test_a_failed_request_is_counted_once_with_its_status(client, told, monkeypatch):
    from datica_account import views

    def fail(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(views, "reverse", fail)
    client.raise_request_exception = False
    labels = {"view": "passkey_endpoints", "method": "GET"}
    before = counted("django_http_requests_latency_seconds_by_view_method_count", **labels)

    client.get("/.well-known/passkey-endpoints")

    assert counted("django_http_requests_latency_seconds_by_view_method_count", **labels) == before + 1
    assert counted("django_http_responses_total_by_status_view_method_total", status="500", **labels) >= 1
    assert counted("django_http_exceptions_total_by_type_total", type="ZeroDivisionError") >= 1


# --- sign-ins and limits ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_sign_ins_are_counted_by_outcome_and_mode(client, dana_with_app):
    """SR-55."""
    steps = [("wrong_password", "none"), ("wrong_code", "authenticator"), ("success", "authenticator")]

    def now():
        return [counted("portal_sign_ins_total", outcome=outcome, mode=mode) for outcome, mode in steps]

    before = now()

    give_credentials(client, "no one with this name", "wrong")
    give_credentials(client, "dana", "wrong")
    give_credentials(client, "dana")
    client.post(OTP, {"otp": "000000"})
    client.post(OTP, {"otp": app_code(dana_with_app)})

    assert [after - number for after, number in zip(now(), before, strict=True)] == [2, 1, 1]


@pytest.mark.django_db
def test_what_a_limit_refuses_is_counted(client, dana, settings):
    settings.PASSWORD_FAILURES_FREE = 1
    before = counted("portal_throttled_total", step="password")
    throttled = counted("portal_sign_ins_total", outcome="throttled", mode="none")

    give_credentials(client, "dana", "wrong")
    give_credentials(client, "dana", "wrong")

    assert counted("portal_throttled_total", step="password") == before + 1
    assert counted("portal_sign_ins_total", outcome="throttled", mode="none") == throttled + 1


@pytest.mark.django_db
def test_adoption_is_told_by_mode(told, dana_with_both, sam, dana):
    add_mode(sam, "email")
    get_user_model().objects.create(email="without@example.com", username="without")
    get_user_model().objects.create(email="disabled@example.com", username="disabled", is_active=False)

    seen = told()

    by_mode = {dict(key[1:])["mode"]: value for key, value in seen.items() if key[0] == "portal_mfa_accounts"}
    assert by_mode == {"authenticator": 1, "email": 2, "passkey": 0, "none": 1}
    assert seen[("portal_accounts",)] == 3


@pytest.mark.django_db
def test_adoption_is_asked_once_in_five_minutes(told, django_assert_num_queries):
    told()

    with django_assert_num_queries(0):
        list(mode_gauges.gauges.collect())


# --- several processes --------------------------------------------------------------------------------


COUNT = """
import sys
from prometheus_client import Counter, Histogram
counter, histogram = Counter("made_up", "Counts.", ["step"]), Histogram("made_up_seconds", "Measures.", buckets=(1, 2))
counter.labels("one").inc(int(sys.argv[1]))
histogram.observe(1.5)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def counting(folder: Path, number: int):
    """Run a process that counts to ``number`` and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT, str(number)],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def shared(folder: Path) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for metric in shared_metrics.SharedMetrics(folder).collect()
        for sample in metric.samples
    }


def test_what_ended_processes_counted_stays_and_their_files_go(tmp_path):
    folder, elsewhere = tmp_path / "this-host", tmp_path / "another-host"
    folder.mkdir()
    elsewhere.mkdir()
    with counting(elsewhere, 100):
        with counting(folder, 1), counting(folder, 2):
            alive = shared(folder)
            assert len(list(folder.glob("*.db"))) == 4
        with counting(folder, 4):
            later = shared(folder)
            files = sorted(file.name for file in folder.glob("*.db"))
            again = shared(folder)

    assert alive[("made_up_total", ("step", "one"))] == 103
    assert later[("made_up_total", ("step", "one"))] == 107
    assert later[("made_up_seconds_bucket", ("le", "2.0"))] == later[("made_up_seconds_count",)] == 4
    assert later[("made_up_seconds_sum",)] == 6
    assert again == later
    assert len(files) == 4
    assert {"counter_ended.db", "histogram_ended.db"} < set(files)
    assert len(list(elsewhere.glob("*.db"))) == 2  # this host cannot know whether they live


def test_a_file_that_cannot_be_read_costs_no_other_metric(tmp_path):
    folder = tmp_path / "this-host"
    folder.mkdir()
    with counting(folder, 1):
        pass
    shared(folder)
    (folder / "counter_999999999.db").write_bytes(b"\x40\x00\x00\x00" + b"\xff" * 60)

    assert shared(folder)[("made_up_total", ("step", "one"))] == 1
    assert not (folder / "counter_999999999.db").exists()


class Portal:
    """Two web processes and a worker on SQLite and a queue in a folder."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="portal-metrics-"))
        self.port = servers.free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
            **PRODUCTION,
            "SITE_URL": f"http://localhost:{self.port}",
            "ALLOWED_HOSTS": "localhost",
            "DATABASE_URL": f"sqlite:///{self.folder / 'portal.sqlite3'}",
            "CELERY_BROKER_URL": "filesystem://localhost",
            "DATA_DIR": str(self.folder),
            "METRICS_TOKEN": TOKEN,
        }
        self._run("migrate", "--verbosity", "0")
        python = [sys.executable, "-W", "ignore", "-m"]
        web = [*python, "gunicorn", "datica_account.wsgi", "--bind", f"127.0.0.1:{self.port}", "--workers", "2"]
        worker = [*python, "celery", "-A", "datica_account", "worker", "-Q", "celery", "--concurrency", "1"]
        log = stack.enter_context((self.folder / "log").open("wb"))
        for command in (web, worker):
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
            stack.callback(servers.end, process)
            setattr(self, "web" if command is web else "worker", process)
        servers.wait_for_port(self.port, self.web)

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def queue(self, task: str) -> None:
        self._run(
            "shell",
            "--verbosity",
            "0",
            "--command",
            f"from accounts import outbox; outbox.call({task!r}, queue='celery')",
        )

    def get(self, path: str) -> str:
        connection = HTTPConnection("localhost", self.port, timeout=30)
        with closing(connection):
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            return connection.getresponse().read().decode()

    def metrics(self) -> dict[tuple, float]:
        return samples(self.get("/metrics"))

    def web_workers(self) -> list[int]:
        found = subprocess.run(["pgrep", "-P", str(self.web.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]


HELP = (
    "django_http_responses_total_by_status_view_method_total",
    ("method", "GET"),
    ("status", "200"),
    ("view", "help_mfa"),
)
TASK = ("portal_task_seconds_count", ("outcome", "success"), ("task", "accounts.sweep_outbox"))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "what is waited for did not come"
        time.sleep(0.2)


def test_two_web_processes_and_a_worker_count_together_and_a_restart_loses_nothing():
    """Whichever process answers tells the sums of all; none of them falls when a process ends."""
    with ExitStack() as stack:
        portal = Portal(stack)
        for _ in range(20):
            portal.get("/help/mfa")
        told = [portal.metrics()[HELP] for _ in range(10)]
        assert told == [20] * 10
        portal.queue("accounts.sweep_outbox")
        wait_until(lambda: portal.metrics().get(TASK) == 1)

        ended = portal.web_workers()
        for process in ended:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: len(set(portal.web_workers()) - set(ended)) == 2)
        os.kill(portal.worker.pid, signal.SIGTERM)
        portal.worker.wait(60)
        portal.get("/help/mfa")

        after = [portal.metrics() for _ in range(6)]
        assert [seen[HELP] for seen in after] == [21] * 6
        assert [seen[TASK] for seen in after] == [1] * 6
        assert not [file for file in (portal.folder / "metrics").glob("*/*.db") if str(ended[0]) in file.name]


def test_without_a_token_nothing_is_written(tmp_path):
    code = "import datica_account.wsgi, os, json; print(json.dumps([os.environ.get('PROMETHEUS_MULTIPROC_DIR')]))"
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, "DATABASE_URL": "sqlite://", "DATA_DIR": str(tmp_path)}

    def chosen(**more: str) -> list[str | None]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**environment, **more}, cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    assert chosen() == [None]
    assert not (tmp_path / "metrics").exists()
    assert chosen(METRICS_TOKEN=TOKEN)[0].startswith(str(tmp_path / "metrics"))
    assert chosen(METRICS_TOKEN=TOKEN, PROMETHEUS_MULTIPROC_DIR="/dev/null/metrics") == [None]

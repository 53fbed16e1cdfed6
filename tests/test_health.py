"""What probes and operators are told of the portal's health (SR-62, SR-64)."""

import json
import threading
from datetime import timedelta
from io import StringIO

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from accounts.encryption import seal
from accounts.models import Mail
from datica_account import health
from mfa import recovery
from mfa.models import Factor, RecoveryCodes
from mfa.tests.factories import add_mode
from tests import servers
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

ALL_OK = dict.fromkeys(health.CHECKS, "ok")


@pytest.fixture(autouse=True)
def _ask_anew():
    health.readiness.forget()
    yield
    health.readiness.forget()


@pytest.fixture(autouse=True)
def _migrations_are_recorded():
    """Tests that make their tables without migrations have no table of them."""
    MigrationRecorder(connection).ensure_schema()


def ready(client, query="", **headers) -> tuple[int, dict[str, str]]:
    answer = client.get(f"/readyz{query}", **headers)
    return answer.status_code, answer.json()["checks"]


def said_by_the_command(*arguments) -> tuple[str, str]:
    """Run ``check_system``; return what it prints and how it fails."""
    said, failure = StringIO(), ""
    try:
        call_command("check_system", "--no-workers", *arguments, stdout=said)
    except CommandError as error:
        failure = str(error)
    return said.getvalue(), failure


def test_a_probe_hears_that_the_process_answers_without_a_database(client, django_assert_num_queries):
    """By any host name: a probe comes to an IP address."""
    with django_assert_num_queries(0):
        answer = client.get("/healthz", headers={"Host": "10.1.2.3:8000"})

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_a_portal_that_is_well_is_ready(client, dana):
    add_mode(dana, "authenticator")
    recovery.make(dana)

    answer = client.get("/readyz", headers={"Host": "10.1.2.3:8000"})

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": ALL_OK})


def test_probes_are_told_states_and_nothing_else(client, dana, monkeypatch):
    """SR-62: no version, address, count or reason, whatever is wrong."""
    monkeypatch.setitem(health.CHECKS, "broker", failing("redis.internal:6379 refused dana@example.com"))

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert json.loads(answer.content) == {"status": "failed", "checks": {**ALL_OK, "broker": "failed"}}
    assert not set(answer.headers) - {"Content-Type", "Cache-Control", "X-Content-Type-Options", "Content-Length"}


def failing(words, error=health.Problem):
    def check():
        raise error(words)

    return check


def test_what_can_be_served_without_can_be_left_out(client, monkeypatch):
    """A balancer need not take every portal away because mail is slow."""
    monkeypatch.setitem(health.CHECKS, "broker", failing("away"))
    monkeypatch.setitem(health.CHECKS, "codes", failing("late"))

    assert ready(client)[0] == 503
    assert ready(client, "?exclude=broker")[0] == 503
    assert ready(client, "?exclude=broker&exclude=codes")[0] == 200


def test_a_migration_that_is_not_applied_makes_the_portal_unready(client, monkeypatch):
    """Old code that meets a newer database stays ready: an upgrade is under way."""
    recorder = MigrationRecorder(connection)
    recorder.record_applied("mfa", "9998_of_this_release")
    recorder.record_applied("mfa", "9999_of_the_next_release")
    monkeypatch.setattr(health, "migrations_of_this_code", lambda: {("mfa", "9998_of_this_release")})
    try:
        assert ready(client)[0] == 200
        recorder.record_unapplied("mfa", "9998_of_this_release")
        health.readiness.forget()

        assert ready(client) == (503, {**ALL_OK, "migrations": "failed"})
        said, failure = said_by_the_command()
        assert "1 migrations are not applied, such as mfa.9998_of_this_release." in said
        assert failure == "The portal is not ready: migrations."
    finally:
        recorder.record_unapplied("mfa", "9999_of_the_next_release")


def test_a_code_that_has_not_left_for_a_minute_is_told(client, dana):
    add_mode(dana, "email")
    sign_in(client, dana)
    Mail.objects.update(state=Mail.State.QUEUED, created_at=timezone.now() - timedelta(seconds=90))

    status, checks = ready(client)

    assert (status, checks["codes"]) == (503, "failed")
    assert "Is a worker of the queue otp running?" in said_by_the_command()[0]


@pytest.mark.parametrize("whose", ["the oldest authenticator", "the newest authenticator", "recovery codes"])
def test_a_key_that_does_not_fit_the_data_is_found_before_anyone_signs_in(client, dana, sam, settings, whose):
    """SR-64: a key that was taken away too early, one that another machine has not got yet, or a wrong one."""
    add_mode(dana, "authenticator")
    add_mode(sam, "authenticator")
    recovery.make(dana)
    right, settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS, ["another key that no one has " * 2]
    foreign = seal(b"of another key")
    settings.ENCRYPTION_KEYS = right
    rows = {
        "the oldest authenticator": Factor.objects.filter(user=dana),
        "the newest authenticator": Factor.objects.filter(user=sam),
        "recovery codes": RecoveryCodes.objects.filter(user=dana),
    }
    rows[whose].update(sealed_secret=foreign)

    assert ready(client) == (503, {**ALL_OK, "keys": "failed"})
    said, failure = said_by_the_command("--quick")
    assert "fits none of ENCRYPTION_KEYS: a key is missing or wrong." in said
    assert failure == "The portal is not ready: keys."


def test_the_command_decrypts_every_secret(dana, sam, settings):
    """SR-64: also one between the oldest and the newest."""
    for user in (dana, sam):
        add_mode(user, "authenticator")
    said, failure = said_by_the_command()
    assert "2 secrets can be decrypted." in said
    assert not failure

    Factor.objects.filter(user=dana).update(sealed_secret=seal(b"x")[:-2])
    said, failure = said_by_the_command()

    assert failure == "The portal is not ready: keys, Factor."
    assert f"Factor {Factor.objects.get(user=dana).pk} fits none" in said


def test_without_a_database_the_rest_is_not_checked(client, monkeypatch):
    monkeypatch.setitem(health.CHECKS, "database", failing("connection refused", DatabaseError))

    status, checks = ready(client)

    assert status == 503
    assert checks == {**dict.fromkeys(health.CHECKS, "not checked"), "broker": "ok", "database": "failed"}


def test_a_flood_of_probes_asks_once_a_second(client, monkeypatch):
    asked = []
    monkeypatch.setitem(health.CHECKS, "broker", lambda: asked.append(1) or "fine")

    for _ in range(20):
        ready(client)

    assert len(asked) == 1


def test_a_check_that_hangs_does_not_hold_the_probe(client, monkeypatch):
    """The others are told, it can be left out, and the next probe does not begin another one."""
    go_on, asked = threading.Event(), []
    monkeypatch.setattr(health, "ANSWER_WITHIN_SECONDS", 0.5)
    monkeypatch.setitem(health.CHECKS, "broker", lambda: asked.append(1) or str(go_on.wait(20)))
    try:
        assert ready(client) == (503, {**ALL_OK, "broker": "failed"})
        assert ready(client, "?exclude=broker")[0] == 200
        assert len(asked) == 1
    finally:
        go_on.set()
        monkeypatch.setattr(health, "ANSWER_WITHIN_SECONDS", 20)
        health.readiness.results()


def test_a_check_that_hangs_leaves_those_behind_it_open(client, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(health, "ANSWER_WITHIN_SECONDS", 0.5)
    monkeypatch.setitem(health.CHECKS, "keys", lambda: str(go_on.wait(20)))
    try:
        assert ready(client) == (503, {**ALL_OK, "keys": "failed", "broker": "not checked"})
    finally:
        go_on.set()
        monkeypatch.setattr(health, "ANSWER_WITHIN_SECONDS", 20)
        health.readiness.results()


def test_a_broker_that_is_away_is_found_at_once(client, settings):
    """Without waiting for it again and again: the probe would take longer than it may."""
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5}
    nowhere = current_app.connection_for_write(f"redis://127.0.0.1:{servers.free_port()}/0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(current_app, "connection_for_write", nowhere.clone)

        assert ready(client) == (503, {**ALL_OK, "broker": "failed"})


@pytest.mark.parametrize(("difference", "state"), [(9, "ok"), (-9, "ok"), (11, "failed"), (-11, "failed")])
def test_a_wrong_clock_is_told(client, monkeypatch, difference, state):
    """A server whose clock is off refuses right codes of authenticators."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has this machine's clock")
    real = health.time.time
    monkeypatch.setattr(health.time, "time", lambda: real() + difference)

    assert ready(client)[1]["clock"] == state


def test_only_reading_is_a_probe(client):
    assert client.post("/healthz").status_code != 200
    assert client.head("/readyz").status_code == 200

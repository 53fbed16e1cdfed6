"""Whether the portal can serve: for probes at ``/healthz`` and ``/readyz``, in words for ``manage.py check_system``."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import cache
from threading import Lock

from celery import current_app
from django.db import DatabaseError, connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from kombu.exceptions import OperationalError

from accounts import mail_status
from accounts.encryption import can_unseal
from mfa import modes
from mfa.models import Factor, RecoveryCodes

KEPT_SECONDS = 1.0
# A probe that hears nothing for some seconds takes the process for dead; it is told before.
ANSWER_WITHIN_SECONDS = 2.0
BROKER_SECONDS = 1
# An authenticator's code is right for about 30 s before and after its time.
MAX_CLOCK_DIFFERENCE_SECONDS = 10.0


class Problem(Exception):
    """What a check found, in words for operators."""


@dataclass(frozen=True)
class Result:
    """The outcome of one check. ``state`` is ``ok``, ``failed`` or ``not checked``."""

    name: str
    state: str
    words: str

    @property
    def is_ok(self) -> bool:
        """Return whether nothing is wrong."""
        return self.state == "ok"


def database() -> str:
    """Return what the database says of itself. Raise ``DatabaseError`` if it does not answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return f"The database answers ({connection.display_name} {'.'.join(map(str, connection.get_database_version()))})."


def clock() -> str:
    """Compare this machine's clock with the database's. Raise ``Problem`` if they differ."""
    if connection.vendor != "postgresql":
        return "The database has this machine's clock."
    with connection.cursor() as cursor:
        asked = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        theirs = float(cursor.fetchone()[0])
    difference = theirs - (asked + time.time()) / 2
    if abs(difference) > MAX_CLOCK_DIFFERENCE_SECONDS:
        raise Problem(f"The database's clock is {difference:+.0f} s off this machine's. Codes will fail: check NTP.")
    return "The clocks of this machine and of the database agree."


@cache
def migrations_of_this_code() -> frozenset[tuple[str, str]]:
    """Return app and name of each migration that belongs to this code. They are read from disk once."""
    return frozenset(MigrationLoader(None).disk_migrations)


def migrations() -> str:
    """Look for migrations of this code that are not applied. A newer database is fine: an upgrade is under way."""
    applied = set(MigrationRecorder.Migration.objects.using("default").values_list("app", "name"))
    if missing := sorted(migrations_of_this_code() - applied):
        names = ", ".join(f"{app}.{name}" for app, name in missing[:5])
        raise Problem(f"{len(missing)} migrations are not applied, such as {names}. Run manage.py migrate.")
    return "All migrations are applied."


def broker() -> str:
    """Connect to the broker, once and for a second at most. Raise ``Problem`` if that fails."""
    options = {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS}  # of Redis
    try:
        with current_app.connection_for_write(connect_timeout=BROKER_SECONDS, transport_options=options) as link:
            link.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=BROKER_SECONDS)
            return f"The broker answers ({link.transport_cls})."
    except (OperationalError, OSError) as error:
        raise Problem(f"The broker does not answer ({type(error).__name__}). Web processes send the mail.") from error


def codes() -> str:
    """Look for a code that has waited for too long. Raise ``Problem`` if there is one."""
    late = next((queue for queue in mail_status.queues() if queue.is_late), None)
    if late:
        waited = late.oldest.total_seconds()
        raise Problem(f"A code has not left for {waited:.0f} s. Is a worker of the queue {late.name} running?")
    return "No code waits for a worker."


def keys() -> str:
    """Decrypt the oldest and the newest secrets that stay. Raise ``Problem`` if a key is missing (SR-64)."""
    with_secret = [mode.name for mode in modes.ALL.values() if mode.keeps_secret]
    factors = [Factor.objects.filter(mode=mode) for mode in with_secret]
    for rows in (*factors, RecoveryCodes.objects.all()):
        for row in (rows.order_by("pk").first(), rows.order_by("pk").last()):
            if row is not None:
                require_key(row.sealed_secret, f"{type(row).__name__} {row.pk}")
    return "ENCRYPTION_KEYS decrypt the oldest and newest secrets."


def require_key(sealed: str, name: str) -> None:
    """Raise ``Problem`` if none of ``ENCRYPTION_KEYS`` decrypts a secret."""
    if not can_unseal(sealed):
        raise Problem(f"{name} fits none of ENCRYPTION_KEYS: a key is missing or wrong.")


CHECKS: dict[str, Callable[[], str]] = {
    "database": database,
    "clock": clock,
    "migrations": migrations,
    "codes": codes,
    "keys": keys,
    "broker": broker,  # the last: the portal serves without it, so it must not keep the others from answering
}


def run_checks(results: list[Result] | None = None) -> list[Result]:
    """Return the result of each check; ``results`` is filled as they come. Without a database, the rest is skipped."""
    results = [] if results is None else results
    is_away = False
    for name, check in CHECKS.items():
        if is_away and name != "broker":
            results.append(Result(name, "not checked", "Not checked: the database does not answer."))
            continue
        try:
            results.append(Result(name, "ok", check()))
        except Problem as problem:
            results.append(Result(name, "failed", str(problem)))
        except DatabaseError as error:
            text = f"The database does not answer as it should ({type(error).__name__}): {error}"
            results.append(Result(name, "failed", text.strip()))
            is_away = is_away or name == "database"
    return results


def _so_far(results: list[Result]) -> list[Result]:
    """Return the results of checks of which one takes too long: that one has failed, those behind it are open."""
    found = list(results)
    if len(found) == len(CHECKS):
        return found
    slow, *rest = list(CHECKS)[len(found) :]
    failed = Result(slow, "failed", f"It does not answer within {ANSWER_WITHIN_SECONDS:.0f} s.")
    return [*found, failed, *(Result(name, "not checked", "Not checked.") for name in rest)]


class Readiness:
    """The last results, at most ``KEPT_SECONDS`` old.

    One thread asks at a time, so a flood of probes costs no more, and one that hangs does not hold a request.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readiness")
        self._asked: Future[list[Result]] | None = None
        self._results: list[Result] = []
        self._ended = 0.0

    def forget(self) -> None:
        """Ask anew the next time."""
        with self._lock:
            self._asked = None

    def results(self) -> list[Result]:
        """Return the results. If they take too long, return those that are there."""
        with self._lock:
            if self._asked is None or (self._asked.done() and time.monotonic() - self._ended > KEPT_SECONDS):
                self._results = []
                self._asked = self._executor.submit(self._ask, self._results)
            asked, results = self._asked, self._results
        try:
            return asked.result(timeout=ANSWER_WITHIN_SECONDS)
        except FutureTimeoutError:
            return _so_far(results)

    def _ask(self, results: list[Result]) -> list[Result]:
        try:
            return run_checks(results)
        finally:
            connections.close_all()  # back into the pool: this thread may be idle for long
            self._ended = time.monotonic()


readiness = Readiness()


def _healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def _readyz(request: HttpRequest) -> JsonResponse:
    """Tell states only (SR-62). ``?exclude=codes`` leaves that check out."""
    excluded = request.GET.getlist("exclude")
    results = [result for result in readiness.results() if result.name not in excluded]
    is_ready = all(result.is_ok for result in results)
    answer = {"status": "ok" if is_ready else "failed", "checks": {result.name: result.state for result in results}}
    return JsonResponse(answer, status=200 if is_ready else 503)


PROBES: dict[str, Callable[[HttpRequest], JsonResponse]] = {"/healthz": _healthz, "/readyz": _readyz}


def answer_probes(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Answer probes before anything else: they come by IP address, without a host name of the portal, and often."""

    def middleware(request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info) if request.method in {"GET", "HEAD"} else None
        if probe is None:
            return get_response(request)
        response = probe(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return middleware

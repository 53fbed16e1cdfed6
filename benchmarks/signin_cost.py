"""What a sign-in costs, in one run: statements, CPU, PostgreSQL, and the rate and delay of its mails.

    python -m benchmarks.signin_cost [steps|mails]

``steps``: for each step of a sign-in the statements and marks, as counted at the connection, and the CPU of the request
as a WSGI call with cheap hashing. ``mails``: codes a second through the worker command of docs/operating.md against a
mail server that takes 200 ms for each, and how late codes are beside a bulk run. ``STATEMENTS=1`` names each statement
with the line that sent it.

Each run is kept in ``var/reports/signin_cost.json``. ``BEFORE=file`` compares with the kept file of another run.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tests import servers
from tests.check import PRODUCTION

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get("ROUNDS", "40"))
PASSWORD = "a quiet harbour at dawn"
CODES = int(os.environ.get("CODES", "1500"))
BULK_MAILS = int(os.environ.get("BULK_MAILS", "20000"))
CODES_BESIDE_BULK = 200
SERVER_SECONDS = 0.2
WORKERS, THREADS = 2, 25
CEILING = WORKERS * THREADS / (SERVER_SECONDS + 0.01)
KEPT = ROOT / "var" / "reports" / "signin_cost.json"
results: dict[str, float] = {}


def main() -> int:
    asked = sys.argv[1:] or ["steps", "mails"]
    with ExitStack() as stack:
        database = stack.enter_context(servers.restartable_postgresql())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-cost-")))
        os.environ.update(
            {
                **PRODUCTION,
                "DJANGO_SETTINGS_MODULE": "datica_account.settings",
                "DATABASE_URL": database.url,
                "CELERY_BROKER_URL": stack.enter_context(servers.redis()),
                "EMAIL_URL": f"smtp://127.0.0.1:{servers.free_port()}",
                "SITE_URL": "http://testserver",
                "ALLOWED_HOSTS": "testserver",
                "LOG_LEVEL": "ERROR",
                "DATA_DIR": str(folder),
                "OTP_MAILS_PER_HOUR": "1000",
            }
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        if "steps" in asked:
            measure_steps(database)
        if "mails" in asked:
            measure_mails(database, folder)
    keep_and_compare()
    return 0


def keep_and_compare() -> None:
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps(results, indent=1))
    if before := os.environ.get("BEFORE"):
        old = json.loads(Path(before).read_text())
        print(f"\n{'before and now':62}")
        for name, now in results.items():
            if name in old:
                ratio = f"{now / old[name]:8.2f}" if old[name] else ""
                print(f"{name:62} {old[name]:9.2f} {now:9.2f} {ratio}")


# --- Steps ----------------------------------------------------------------------------------------


def person(number: int, mode: str) -> Any:
    """Make a user with one mode, and an organization of which the user is a member."""
    from django.utils import timezone

    from accounts.models import User
    from mfa.tests.factories import add_mode
    from organizations.models import Membership, Organization

    email = f"{mode}{number}@example.com"
    user = User.objects.create_user(email, PASSWORD, email_verified_at=timezone.now())
    organization = Organization.objects.create(name=f"Clinic of {email}")
    Membership.objects.create(organization=organization, user=user, role="member")
    add_mode(user, mode)
    return user


def steps_of(client: Any, user: Any, code: Callable[[], str]) -> list[tuple[str, Callable[[], object]]]:
    from tests.signing_in import LOGIN, OTP

    def post(path: str, **fields: str) -> Callable[[], object]:
        return lambda: client.post(path, fields)

    return [
        ("login page", lambda: client.get(LOGIN)),
        ("password", post(LOGIN, identifier=user.email, password=PASSWORD)),
        ("prompt", lambda: client.get(OTP)),
        ("wrong code", post(OTP, otp="000000")),
        ("code", lambda: client.post(OTP, {"otp": code()})),
        ("account page", lambda: client.get("/account/view")),
        ("sign out", post("/account/logout")),
    ]


@contextmanager
def cheap_hashing() -> Iterator[None]:
    from tests import shortcuts

    with shortcuts.cheap_hashing(), shortcuts.static_files_listed_once():
        yield


def measure_steps(database: servers.PostgreSQL) -> None:
    from django.test import Client

    with cheap_hashing():
        for mode in ("authenticator", "email"):
            print(f"\n{mode}: statements (+ marks) and CPU of each step, ms (median of {ROUNDS})")
            tables: dict[str, dict[str, Step]] = {}
            known = Client()
            for number in range(ROUNDS):
                user = person(number, mode)
                for name, client in (("first", Client()), ("known", None), ("new", Client())):
                    walk(tables.setdefault(name, {}), client or known, user, mode, number)
                    known = client if name == "first" else known
            report(mode, tables)
    print()
    for mode in ("authenticator", "email"):
        cpu = postgresql_cpu_of_sign_ins(database, mode)
        print(f"PostgreSQL CPU of a sign-in by {mode}: {cpu:.1f} ms")
        results[f"PostgreSQL CPU of a sign-in by {mode}, ms"] = cpu
    print_hand_over()


class Step:
    """What one step has cost, each time."""

    def __init__(self) -> None:
        self.statements = self.marks = 0
        self.cpu: list[float] = []


def walk(table: "dict[str, Step]", client: Any, user: Any, mode: str, number: int) -> None:
    """Sign a user in, and out again; every fourth time after a wrong code."""
    from tests.statements import recorded

    client.cookies.pop("session", None)
    for name, act in steps_of(client, user, code_of(user, mode)):
        if name == "wrong code" and number % 4 != 1:
            continue
        step = table.setdefault(name, Step())
        begun = time.process_time()
        with recorded() if number < 2 else nullcontext() as sent:
            act()
        if number > 1:
            step.cpu.append((time.process_time() - begun) * 1000)
        elif sent and number == int(name == "wrong code"):
            step.statements, step.marks = sent.statements, sent.marks
            if os.environ.get("STATEMENTS"):
                print(f"-- {name}\n{sent}")


def code_of(user: Any, mode: str) -> Callable[[], str]:
    """Return a function that gives the next right code without a statement."""
    from mfa import codes
    from mfa.models import Challenge, Factor

    if mode == "email":
        return lambda: codes.mailed_code(Challenge.objects.filter(user=user, ended_at=None).latest("created_at").secret)
    import pyotp
    from django.utils import timezone

    secret = codes.base32(Factor.objects.get(user=user).secret)
    Factor.objects.filter(user=user).update(last_step=0)
    return lambda: pyotp.TOTP(secret).at(timezone.now())


def report(mode: str, tables: "dict[str, dict[str, Step]]") -> None:
    for browser, table in tables.items():
        print(f"  {browser} browser")
        total = [0, 0, 0.0]
        for name, step in table.items():
            cpu = statistics.median(step.cpu)
            print(f"    {name:13} {step.statements:3} (+{step.marks})  {cpu:6.1f}")
            if name != "wrong code":
                total = [total[0] + step.statements, total[1] + step.marks, total[2] + cpu]
        print(f"    {'sign-in':13} {total[0]:3} (+{total[1]})  {total[2]:6.1f}")
        for name, value in zip(("statements", "marks", "CPU, ms"), total, strict=True):
            results[f"sign-in by {mode}, {browser} browser: {name}"] = value


def postgresql_cpu_of_sign_ins(database: servers.PostgreSQL, mode: str) -> float:
    from django.test import Client

    with cheap_hashing():
        people = [person(1000 + number, mode) for number in range(ROUNDS)]
        codes = {user: code_of(user, mode) for user in people}
        before = database.cpu_seconds()
        for user in people:
            for name, act in steps_of(Client(), user, codes[user]):
                if name != "wrong code":
                    act()
        return (database.cpu_seconds() - before) * 1000 / ROUNDS


def print_hand_over() -> None:
    """Print what the hand-over of a mail adds to a request, as a ratio to a bare ``delay``."""
    from celery import current_app
    from django.db import transaction

    from accounts import outbox
    from accounts.models import User

    user = User.objects.latest("created_at")
    times: dict[str, list[float]] = {"delay": [], "hand-over": []}
    for _round in range(100):
        begun = time.perf_counter()
        current_app.send_task("accounts.nothing", ["x" * 36], queue="bench", retry=False)
        times["delay"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with transaction.atomic():
            outbox.post("accounts.email_taken", user=user, queue="bench")
        times["hand-over"].append(time.perf_counter() - begun)
    bare, ours = (statistics.median(times[name]) * 1000 for name in ("delay", "hand-over"))
    results["hand-over of a mail / bare delay()"] = ours / bare
    print(f"hand-over of a mail: {ours:.1f} ms, a bare delay() {bare:.1f} ms, ratio {ours / bare:.1f}")


# --- Mails ----------------------------------------------------------------------------------------


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-m", *command], cwd=ROOT)
    try:
        yield process
    finally:
        servers.end(process)


def worker(name: str, *queues: str, threads: int) -> tuple[str, ...]:
    """Return the command line of docs/operating.md."""
    return (
        "celery", "--quiet", "-A", "datica_account", "worker", "--hostname", name, "--queues", ",".join(queues),
        "--pool", "threads", "--concurrency", str(threads), "--loglevel", "ERROR",
        "--without-mingle", "--without-gossip",
    )  # fmt: skip


def measure_mails(database: servers.PostgreSQL, folder: Path) -> None:
    from django.conf import settings

    arrivals = folder / "arrivals"
    arrivals.touch()
    with ExitStack() as stack:
        stack.enter_context(
            running("benchmarks.slow_smtp", str(settings.EMAIL_PORT), str(SERVER_SECONDS), str(arrivals))
        )
        servers.wait_for_port(settings.EMAIL_PORT)
        workers = [
            stack.enter_context(running(*worker(f"codes{number}", "otp", "celery", threads=THREADS)))
            for number in range(WORKERS)
        ]
        warm_up(arrivals)
        before = database.cpu_seconds()
        rate = rate_of_codes(arrivals, workers)
        cpu = (database.cpu_seconds() - before) * 1000 / CODES
        results["codes a second"], results["PostgreSQL CPU of a mailed code, ms"] = rate, cpu
        print(
            f"\ncodes a second, {WORKERS} x {THREADS} threads, a server of {SERVER_SECONDS * 1000:.0f} ms: {rate:.0f}, "
            f"{rate / CEILING:.2f} of the ceiling of {CEILING:.0f}; PostgreSQL CPU of a mail {cpu:.1f} ms"
        )
        stack.enter_context(running(*worker("bulk", "bulk", threads=4)))
        print_delays_beside_bulk(arrivals)


def arrived(arrivals: Path) -> dict[str, float]:
    """Return when each mail arrived, by the id of its row."""
    lines = [line.split() for line in arrivals.read_text().splitlines()]
    return {line[1].strip("<>").split("@")[0]: float(line[0]) for line in lines if len(line) == 2}


def post_codes(number: int, pause: float = 0.0) -> list[str]:
    """Begin sign-ins whose codes are mailed, as the sign-in page does; return the ids of the mails."""
    from accounts.models import Channel, Mail, User
    from accounts.security_log import Origin
    from mfa import challenges

    users = list(User.objects.filter(preferred_mode="email")[:number])
    while len(users) < number:
        users.append(person(10_000 + len(users), "email"))
    last = Mail.objects.count()
    for user in users:
        challenges.begin_sign_in(user, channel=Channel.BROWSER, origin=Origin("192.0.2.1"))
        time.sleep(pause)
    return [str(pk) for pk in Mail.objects.order_by("created_at").values_list("pk", flat=True)[last:]]


def wait_for(arrivals: Path, mails: list[str], patience: float = 300) -> dict[str, float]:
    deadline = time.monotonic() + patience
    while missing := set(mails) - set(found := arrived(arrivals)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(missing)} of {len(mails)} mails did not come")
        time.sleep(1)  # looking costs a core that the workers need
    return found


def warm_up(arrivals: Path) -> None:
    wait_for(arrivals, post_codes(4 * WORKERS * THREADS))


def rate_of_codes(arrivals: Path, workers: list[subprocess.Popen[bytes]]) -> float:
    """Return the codes a second of a queue that was filled while the workers were held back."""
    from celery import current_app
    from django.utils import timezone

    from accounts.models import Mail
    from mfa import challenges
    from mfa.models import Challenge

    users = [person(20_000 + number, "email") for number in range(50)]
    mails = []
    for number in range(CODES):
        user = users[number % len(users)]
        challenge = challenges.begin(user, "step_up", mode="email")
        Challenge.objects.filter(pk=challenge.pk).update(mails=1, last_mail_at=timezone.now())
        mails.append(Mail(task="mfa.one_time_password", user=user, about=str(challenge.pk), queue="otp"))
    Mail.objects.bulk_create(mails)
    for process in workers:
        process.send_signal(signal.SIGSTOP)
    with current_app.producer_or_acquire() as producer:
        for mail in mails:
            current_app.send_task(mail.task, [str(mail.pk)], queue="otp", producer=producer)
    for process in workers:
        process.send_signal(signal.SIGCONT)
    found = wait_for(arrivals, [str(mail.pk) for mail in mails])
    times = sorted(found[str(mail.pk)] for mail in mails)
    # Between the first and the last tenth: neither the start nor the end of the queue counts.
    tenth = len(times) // 10
    return (len(times) - 2 * tenth) / (times[-tenth - 1] - times[tenth])


def print_delays_beside_bulk(arrivals: Path) -> None:
    """Print how long codes take while ``BULK_MAILS`` other mails are being sent."""
    from django.db import transaction

    from accounts import outbox
    from accounts.models import Mail, User

    user = User.objects.latest("created_at")

    def delays(mails: list[str]) -> list[float]:
        found = wait_for(arrivals, mails)
        created = {str(pk): at for pk, at in Mail.objects.filter(pk__in=mails).values_list("pk", "created_at")}
        return sorted(found[pk] - created[pk].timestamp() for pk in mails)

    alone = delays(post_codes(CODES_BESIDE_BULK, pause=0.05))
    with transaction.atomic():
        outbox.post_in_bulk([Mail(task="accounts.email_taken", user=user) for _mail in range(BULK_MAILS)])
    time.sleep(2)
    sent_before = len(arrived(arrivals))
    beside = delays(post_codes(CODES_BESIDE_BULK, pause=0.05))
    in_bulk = len(arrived(arrivals)) - sent_before - CODES_BESIDE_BULK
    for name, times in (("alone", alone), (f"beside bulk ({in_bulk} meanwhile)", beside)):
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        results[f"delay of a code {name.split(' (')[0]}, 99th percentile, s"] = p99
        print(f"delay of a code {name}: median {p50:.2f} s, 99th percentile {p99:.2f} s")


if __name__ == "__main__":
    sys.exit(main())

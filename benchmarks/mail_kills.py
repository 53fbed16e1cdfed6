"""Sign-ins by mail while worker, broker, database and mail server are killed and started again, one after the other.

    python -m benchmarks.mail_kills

Prints for each code how it fared: none may be lost, one that came twice has one ``Message-ID``, and no row may say that
a mail was sent that never arrived. ``CODES`` sign-ins begin evenly over ``SECONDS``.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.signin_cost import person, worker
from tests import servers
from tests.check import PRODUCTION

ROOT = Path(__file__).resolve().parent.parent
CODES = int(os.environ.get("CODES", "1000"))
SECONDS = float(os.environ.get("SECONDS", "75"))
AWAY = 4.0  # seconds for which each server is away
MAIL_SECONDS = "0.05"  # that the mail server takes for each


class Server:
    """A process that is killed and started again at the same port."""

    def __init__(self, command: list[str], port: int = 0) -> None:
        self.command, self.port, self.is_away = command, port, False
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=ROOT, start_new_session=True)
        if self.port:
            servers.wait_for_port(self.port, self.process)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def come_back(self) -> None:
        self.is_away = True
        self.kill()
        time.sleep(AWAY)
        self.start()
        self.is_away = False

    def tend(self) -> None:
        """Start it again if it has ended by itself, as a supervisor does."""
        if not self.is_away and self.process.poll() is not None:
            print(f"  {self.command[5]} … had ended by itself", flush=True)
            self.start()


def main() -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-kills-")))
        database = stack.enter_context(servers.restartable_postgresql())
        broker_port, mail_port = servers.free_port(), servers.free_port()
        arrivals = folder / "arrivals"
        arrivals.touch()
        os.environ.update(
            {
                **PRODUCTION,
                "DJANGO_SETTINGS_MODULE": "datica_account.settings",
                "DATABASE_URL": database.url,
                "CELERY_BROKER_URL": f"redis://127.0.0.1:{broker_port}/0",
                "EMAIL_URL": f"smtp://127.0.0.1:{mail_port}",
                "LOG_LEVEL": "CRITICAL",
                "DATA_DIR": str(folder),
                "OTP_MAILS_PER_HOUR": "10000",
                "OUTBOX_SEND_TIMEOUT": "10s",
                "OUTBOX_REQUEUE_AFTER": "5s",
                "EMAIL_TIMEOUT": "5",
            }
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        python = [sys.executable, "-W", "ignore", "-m"]
        redis = Server(["redis-server", "--port", str(broker_port), "--bind", "127.0.0.1", "--save", "",
                        "--loglevel", "warning"], broker_port)  # fmt: skip
        mail = Server([*python, "benchmarks.slow_smtp", str(mail_port), MAIL_SECONDS, str(arrivals)], mail_port)
        codes = Server([*python, *worker("codes", "otp", "celery", threads=10)])
        for server in (redis, mail, codes):
            stack.callback(server.kill)

        def restart_database() -> None:
            database.stop()
            time.sleep(AWAY)
            database.start()

        kills = {"worker": codes.come_back, "broker": redis.come_back, "mail server": mail.come_back,
                 "database": restart_database}  # fmt: skip
        return report(*run(kills, codes.tend), arrivals)


def run(
    kills: dict[str, Callable[[], None]], tend: Callable[[], None]
) -> tuple[dict[str, float], int, list[tuple[str, float]]]:
    """Begin sign-ins and kill; return when each mail was asked for, how many sign-ins were refused, and the kills."""
    done: list[tuple[str, float]] = []
    over = threading.Event()

    def kill_one_after_the_other() -> None:
        pause = SECONDS / (len(kills) + 1)
        for name, kill in kills.items():
            time.sleep(pause - AWAY / 2)
            done.append((name, time.time()))
            kill()

    killer = threading.Thread(target=kill_one_after_the_other)
    sweeper = threading.Thread(target=sweep_until, args=[over, tend])
    for thread in (killer, sweeper):
        thread.start()
    asked, refused = begin_sign_ins()
    killer.join()
    wait_until_all_are_closed()
    over.set()
    sweeper.join()
    return asked, refused, done


def sweep_until(over: threading.Event, tend: Callable[[], None]) -> None:
    """Do the jobs of the scheduler, more often than it does, and of the supervisor."""
    from django.db import DatabaseError, connection

    from accounts import outbox

    outbox.register_mails()  # as a worker does at its start: a mail that no one composes is given up
    while not over.wait(3):
        tend()
        try:
            outbox.sweep()
        except DatabaseError:
            print("  the sweep found no database", flush=True)
        finally:
            connection.close()


def begin_sign_ins() -> tuple[dict[str, float], int]:
    """Begin sign-ins whose codes are mailed. Return when each mail was asked for, and how many the database refused."""
    from django.db import DatabaseError, connection

    from accounts.models import Channel, Mail
    from accounts.security_log import Origin
    from mfa import challenges

    users = [person(number, "email") for number in range(50)]
    asked: dict[str, float] = {}
    refused = 0
    started = time.monotonic()
    for number in range(CODES):
        time.sleep(max(0.0, started + number * SECONDS / CODES - time.monotonic()))
        try:
            challenge = challenges.begin_sign_in(
                users[number % len(users)], channel=Channel.BROWSER, origin=Origin(f"192.0.2.{number % 250}")
            )
            asked[str(Mail.objects.get(about=str(challenge.pk)).pk)] = time.time()
        except DatabaseError:  # the person sees an error page, and waits for no code
            connection.close()
            refused += 1
    return asked, refused


def wait_until_all_are_closed(patience: float = 120) -> None:
    """Wait until no mail is to be sent any more."""
    from accounts.models import Mail

    deadline = time.monotonic() + patience
    while Mail.objects.filter(state__in=["queued", "sending"]).exists() and time.monotonic() < deadline:
        time.sleep(1)


def report(asked: dict[str, float], refused: int, kills: list[tuple[str, float]], arrivals: Path) -> int:
    """Print the figures. Return 1 if a code is lost or a row says what is not true."""
    from accounts.models import Mail

    came: dict[str, list[float]] = {}
    for line in arrivals.read_text().splitlines():
        at, message_id = line.split()
        came.setdefault(message_id.strip("<>").split("@")[0], []).append(float(at))
    states = {str(pk): state for pk, state in Mail.objects.values_list("pk", "state")}
    lost = [pk for pk in asked if pk not in came]
    lies = [pk for pk, state in states.items() if state == Mail.State.SENT and pk not in came]
    delays = sorted(came[pk][0] - asked[pk] for pk in asked if pk in came)
    twice = sum(len(times) > 1 for times in came.values())
    print(f"{len(asked)} codes asked for, {refused} sign-ins refused while the database was away")
    print("states of the lost:", dict(Counter(str(states.get(pk)) for pk in lost)))
    print(f"lost {len(lost)}, came twice {twice}, rows that say sent of a mail that never came {len(lies)}")
    print(f"delay: median {statistics.median(delays):.2f} s, p99 {delays[int(len(delays) * 0.99)]:.1f} s, "
          f"longest {delays[-1]:.1f} s")  # fmt: skip
    for name, at in kills:
        near = [came[pk][0] - asked[pk] for pk in asked if pk in came and at - 1 <= asked[pk] <= at + AWAY + 1]
        print(f"  {name} killed for {AWAY:.0f} s: longest delay of a code asked for then {max(near, default=0):.1f} s")
    return 1 if lost or lies else 0


if __name__ == "__main__":
    sys.exit(main())

"""Sign-ins by mail while worker, broker, database and mail server are killed and started again, one after the other.

    python -m benchmarks.mail_kills

Prints for each code how it fared: none may be lost, one that came twice has one ``Message-ID``, and no row may say that
a mail was sent that never arrived. ``CODES`` sign-ins begin evenly over ``SECONDS``.

    python -m benchmarks.mail_kills refusals

kills nothing: for ``REFUSES_FOR`` seconds, the first mail server answers with 451 and 554 in turn, each time after
``REFUSES_AFTER`` seconds, and there is a second mail server. Each code must come once, by one of the two.
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.signin_cost import person, worker
from tests import servers
from tests.check import PRODUCTION

if TYPE_CHECKING:
    from accounts.models import User

ROOT = Path(__file__).resolve().parent.parent
CODES = int(os.environ.get("CODES", "1000"))
SECONDS = float(os.environ.get("SECONDS", "75"))
AWAY = 4.0  # seconds for which each server is away
MAIL_SECONDS = "0.05"  # that the mail server takes for each
REFUSALS = ("451 4.3.0 try again later", "554 5.3.0 transaction failed")
REFUSES_FOR, REFUSES_AFTER = 10.0, 1.5


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
        broker_port, mail_port, second_port = servers.free_port(), servers.free_port(), servers.free_port()
        arrivals, second_arrivals = folder / "arrivals", folder / "second"
        for file in (arrivals, second_arrivals):
            file.touch()
        has_second = sys.argv[1:] == ["refusals"]
        os.environ.update(
            {
                **PRODUCTION,
                "DJANGO_SETTINGS_MODULE": "datica_account.settings",
                "DATABASE_URL": database.url,
                "CELERY_BROKER_URL": f"redis://127.0.0.1:{broker_port}/0",
                "EMAIL_URL": f"smtp://127.0.0.1:{mail_port}",
                "EMAIL_FALLBACK_URL": f"smtp://127.0.0.1:{second_port}" if has_second else "",
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
        second = Server(
            [*python, "benchmarks.slow_smtp", str(second_port), MAIL_SECONDS, str(second_arrivals)], second_port
        )
        codes = Server([*python, *worker("codes", "otp", "celery", threads=10)])
        for server in (redis, mail, second, codes):
            stack.callback(server.kill)

        def restart_database() -> None:
            database.stop()
            time.sleep(AWAY)
            database.start()

        if has_second:
            refusals = partial(refuse, arrivals.with_name(f"{arrivals.name}.refusals"))
            return report(
                *run({"451 and 554": refusals}, codes.tend, away=REFUSES_FOR), [arrivals, second_arrivals], most=1
            )
        kills = {"worker": codes.come_back, "broker": redis.come_back, "mail server": mail.come_back,
                 "database": restart_database}  # fmt: skip
        return report(*run(kills, codes.tend), [arrivals], most=2)


def refuse(refusals: Path) -> None:
    """Let the first mail server refuse each mail for some time, slowly."""
    written = refusals.with_name("refusals.new")
    written.write_text("\n".join(f"{REFUSES_AFTER} {answer}" for answer in REFUSALS))
    written.rename(refusals)
    time.sleep(REFUSES_FOR)
    refusals.unlink()


def run(
    kills: dict[str, Callable[[], None]], tend: Callable[[], None], away: float = AWAY
) -> tuple[dict[str, float], int, list[tuple[str, float]]]:
    """Begin sign-ins and kill; return when each mail was asked for, how many sign-ins were refused, and the kills."""
    # Takes long on a busy machine, so not while servers are already being killed.
    users = [person(number, "email") for number in range(50)]
    done: list[tuple[str, float]] = []
    over = threading.Event()

    def kill_one_after_the_other() -> None:
        pause = SECONDS / (len(kills) + 1)
        for name, kill in kills.items():
            time.sleep(pause - away / 2)
            done.append((name, time.time()))
            kill()

    killer = threading.Thread(target=kill_one_after_the_other)
    sweeper = threading.Thread(target=sweep_until, args=[over, tend])
    for thread in (killer, sweeper):
        thread.start()
    asked, refused = begin_sign_ins(users)
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


def begin_sign_ins(users: "list[User]") -> tuple[dict[str, float], int]:
    """Begin sign-ins whose codes are mailed. Return when each mail was asked for, and how many the database refused."""
    from django.db import DatabaseError, connection

    from accounts.models import Channel, Mail
    from accounts.security_log import Origin
    from mfa import challenges

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


def report(
    asked: dict[str, float], refused: int, kills: list[tuple[str, float]], arrivals: list[Path], *, most: int
) -> int:
    """Print the figures. Return 1 if a code is lost or came too often, or if a row does not tell the truth."""
    from accounts.models import Mail

    came: dict[str, list[float]] = {}
    for file in arrivals:
        lines = file.read_text().splitlines()
        print(f"{file.name}: {len(lines)} mails")
        for at, message_id in map(str.split, lines):
            came.setdefault(message_id.strip("<>").split("@")[0], []).append(float(at))
    states = {str(pk): state for pk, state in Mail.objects.values_list("pk", "state")}
    lost = [pk for pk in asked if pk not in came]
    lies = [pk for pk, state in states.items() if state == Mail.State.SENT and pk not in came]
    delays = sorted(min(came[pk]) - asked[pk] for pk in asked if pk in came)
    twice = sum(len(times) > 1 for times in came.values())
    print(f"{len(asked)} codes asked for, {refused} sign-ins refused while the database was away")
    print("states of the lost:", dict(Counter(str(states.get(pk)) for pk in lost)))
    print(f"lost {len(lost)}, came twice {twice}, rows that say sent of a mail that never came {len(lies)}")
    print(f"delay: median {statistics.median(delays):.2f} s, p99 {delays[int(len(delays) * 0.99)]:.1f} s, "
          f"longest {delays[-1]:.1f} s")  # fmt: skip
    away, what = (AWAY, "killed") if most > 1 else (REFUSES_FOR, "answered")
    for name, at in kills:
        near = [min(came[pk]) - asked[pk] for pk in asked if pk in came and at - 1 <= asked[pk] <= at + away + 1]
        print(f"  {name} {what} for {away:.0f} s: longest delay of a code asked for then {max(near, default=0):.1f} s")
    return 1 if lost or lies or any(len(times) > most for times in came.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

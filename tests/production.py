"""The processes of a production site, each of which a test can stop, kill, start again or have twice.

``Site`` has PostgreSQL, Redis and a mail server. Web servers, workers and the scheduler are started by the commands of
docs/operating.md, each with a folder of its own, as if it were on a machine of its own.
"""

import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha1
from http.client import HTTPException
from http.cookiejar import CookieJar
from pathlib import Path

import pyotp

from datica_account.run import HUGE_PAGES
from mfa import codes
from tests import servers
from tests.check import PRODUCTION
from tests.stack import PASSWORD, ROOT, _clean_environment, collect_static_files, text_of

PATIENCE_SECONDS = 60
# Every second person has an authenticator, the others get their codes by mail. All of them are in one organization.
SEED = """
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from accounts.encryption import seal
from accounts.models import User
from mfa.models import Factor
from organizations.models import Membership, Organization
from tests.production import mode_of, secret_of

hashed, now = make_password({password!r}), timezone.now()
numbers = range({first}, {first} + {count})
names = [f"p{{number}}@example.com" for number in numbers]
users = User.objects.bulk_create(
    User(email=name, email_key=name, password=hashed, email_verified_at=now, preferred_mode=mode_of(name))
    for name in names
)
secrets = [seal(secret_of(name)) if mode_of(name) == "authenticator" else "" for name in names]
Factor.objects.bulk_create(
    Factor(user=user, mode=user.preferred_mode, name=user.preferred_mode, sealed_secret=sealed)
    for user, sealed in zip(users, secrets, strict=True)
)
clinic, _made = Organization.objects.get_or_create(name="Sample Clinic")
for user in users:
    Membership.objects.create(organization=clinic, user=user, role="owner" if user is users[0] else "member")
"""


def mode_of(email: str) -> str:
    """Return the mode of a person of the seed."""
    return "authenticator" if int(re.sub(r"\D", "", email)) % 2 else "email"


def secret_of(email: str) -> bytes:
    """Return the secret in a person's authenticator app."""
    return sha1(email.encode(), usedforsecurity=False).digest()


class Process:
    """A process that can be ended in each way and started again."""

    def __init__(
        self, command: list[str], environment: dict[str, str], log: Path, port: int = 0,
        kept: socket.socket | None = None,
    ) -> None:  # fmt: skip
        self.command, self.environment, self.log, self.port = command, environment, log, port
        self.descriptors: list[int] = []
        if kept:  # as systemd hands over a socket: at 3, for the process that LISTEN_PID names
            self.descriptors = [kept.fileno()]
            hand_over = f'exec 3<&{kept.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
            self.command = ["bash", "-c", hand_over, "bash", *command]
        self.start()

    def start(self) -> None:
        """Start it; return when it listens, if it does."""
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=output, stderr=output, start_new_session=True,
                pass_fds=self.descriptors,
            )  # fmt: skip
        if self.port:
            servers.wait_for_port(self.port, self.popen)

    def children(self) -> list[int]:
        """Return the processes that it has started."""
        listed = subprocess.run(["pgrep", "-P", str(self.popen.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in listed.stdout.split()]

    def kill(self) -> None:
        """Kill it and all that it has started, as a machine that loses power does."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        # A killed child closes its socket some moments after its parent has ended.
        servers.wait_until_free(self.port)

    def stop(self) -> int:
        """Ask it to end, as a supervisor does; return its exit code when it has."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(PATIENCE_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)


class Site:
    """A production site. ``url`` is where people reach it: a proxy, or the only web server."""

    def __init__(self, stack: ExitStack, **environment: str) -> None:
        self.stack = stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-site-")))
        self.folder.chmod(0o711)  # nginx and PgBouncer run as other users
        self.database = stack.enter_context(servers.restartable_postgresql())
        self.sink = servers.SmtpSink()
        stack.callback(self.sink.close)
        self.port = servers.free_port()
        redis_port = servers.free_port()
        self.redis = self._start("redis", ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save",
                                           "", "--dir", str(self.folder)], {}, redis_port)  # fmt: skip
        self.environment = _clean_environment(
            **{
                **PRODUCTION,
                "DATABASE_URL": self.database_url("portal_serve"),
                "CELERY_BROKER_URL": f"redis://127.0.0.1:{redis_port}/0",
                "EMAIL_URL": f"smtp://127.0.0.1:{self.sink.port}",
                "SITE_URL": self.url,
                "ALLOWED_HOSTS": "127.0.0.1",
                "OUTBOX_REQUEUE_AFTER": "2s",
                "OUTBOX_SEND_TIMEOUT": "5s",
                "EMAIL_TIMEOUT": "3",
                "TRUSTED_PROXIES": "127.0.0.0/8",
                "GLIBC_TUNABLES": HUGE_PAGES,
                **environment,
            }
        )
        collect_static_files(self.environment)
        self.psql("--file=deploy/database_roles.sql")
        # As in production: what was committed survives a crash of the server.
        self.psql("--command=ALTER ROLE portal_serve SET synchronous_commit = on")
        self.manage("migrate", "--verbosity", "0", DATABASE_URL=self.database_url("portal_migrate"))
        self.psql("--username=portal_migrate", "--file=deploy/database_limits.sql")
        self.people = self.seed()
        # For tests that share the site: what they have started, and where.
        self.processes: dict[str, Process] = {}
        self.urls: list[str] = []
        self._mails_read, self._reading = 0, threading.Lock()
        self._codes: dict[str, list[str]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def database_url(self, role: str) -> str:
        """Return the address of the database for one of the accounts of deploy/database_roles.sql."""
        return f"postgres://{role}@127.0.0.1:{self.database.port}/portal"

    def psql(self, *arguments: str) -> str:
        """Run psql as the superuser, or another user; return what it prints."""
        server = ["-h", "127.0.0.1", "-p", str(self.database.port), "--username=portal", "--dbname=portal"]
        command = ["psql", *server, "--set=ON_ERROR_STOP=1", "-At", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def seed(self, first: int = 0, count: int = 200) -> Iterator[str]:
        """Make people, and return their addresses one after the other: each signs in once or twice."""
        self.manage("shell", "--verbosity", "0", "--command",
                    SEED.format(password=PASSWORD, first=first, count=count))  # fmt: skip
        return (f"p{number}@example.com" for number in range(first, first + count))

    def somebody(self, mode: str) -> str:
        """Return a person with this mode who has not signed in yet."""
        return next(email for email in self.people if mode_of(email) == mode)

    def manage(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a management command."""
        command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env={**self.environment, **environment}, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done

    def _start(
        self, name: str, command: list[str], environment: dict[str, str], port: int = 0,
        kept: socket.socket | None = None,
    ) -> Process:  # fmt: skip
        process = Process(command, environment, self.folder / f"{name}.log", port, kept)
        self.stack.callback(process.kill)
        return process

    def _start_portal(
        self, name: str, command: list[str], port: int = 0, kept: socket.socket | None = None, **environment: str
    ) -> Process:
        folder = self.folder / name
        folder.mkdir()
        full = [sys.executable, "-W", "ignore", "-m", *command]
        return self._start(name, full, {**self.environment, "DATA_DIR": str(folder), **environment}, port, kept)

    def start_web(
        self, name: str = "web", port: int = 0, workers: int = 2, *, keep_socket: bool = False, **environment: str
    ) -> Process:
        """Start a web server; without a port, at the one where people reach the site.

        ``keep_socket``: it is given a socket that stays open while it is restarted, as by systemd.
        """
        port = port or self.port
        command = ["gunicorn", "datica_account.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", str(workers),
                   "--threads", "4", "--limit-request-line", "8190"]  # fmt: skip
        if keep_socket:
            kept = self.stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=1024))
            return self._start_portal(name, command, 0, kept, **environment)
        return self._start_portal(name, command, port, **environment)

    def start_worker(self, name: str = "worker", **environment: str) -> Process:
        """Start a worker for all queues."""
        command = ["celery", "-A", "datica_account", "worker", "-n", f"{name}@%h", "-Q", "otp,celery,bulk",
                   "--pool", "threads", "--concurrency", "4"]  # fmt: skip
        return self._start_portal(name, command, **environment)

    def start_beat(self, name: str = "beat") -> Process:
        """Start a scheduler, which sweeps more often than usual: what waits for it must not slow the tests down."""
        return self._start_portal(name, ["tests.quick_beat"])

    def start_pgbouncer(self, pool_mode: str) -> Process:
        """Start PgBouncer in front of PostgreSQL, which the portal uses from now on."""
        port = servers.free_port()
        file, users = self.folder / "pgbouncer.ini", self.folder / "users.txt"
        users.write_text('"portal_serve" ""\n')
        file.write_text(PGBOUNCER.format(port=port, database=self.database.port, users=users, pool_mode=pool_mode))
        process = self._start("pgbouncer", servers.as_postgres(["pgbouncer", str(file)]), dict(os.environ), port)
        self.environment["DATABASE_URL"] = f"postgres://portal_serve@127.0.0.1:{port}/portal"
        return process

    def start_proxy(self, ports: list[int]) -> Process:
        """Start a proxy where people reach the site, which asks the web servers at ``ports`` in turn."""
        return self._start("proxy", haproxy(self.folder, self.port, ports), dict(os.environ), self.port)

    def tell_proxy(self, command: str) -> str:
        """Give HAProxy a command, as an operator does with socat; return its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "admin.sock"))
            connection.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def drain(self, number: int) -> None:
        """Take a web server out of the proxy, and wait until its requests have ended."""
        self.tell_proxy(f"set server portal/web{number} state drain")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.requests_at(number):
            assert time.monotonic() < deadline, f"web{number} does not come to an end"
            time.sleep(0.05)

    def requests_at(self, number: int) -> int:
        """Return how many requests a web server is answering, as the proxy sees it."""
        rows = csv.DictReader(self.tell_proxy("show stat").removeprefix("# ").splitlines())
        return next(int(row["scur"]) for row in rows if row["svname"] == f"web{number}")

    def code_to(self, email: str, *, after: int = 0) -> str:
        """Wait for the next code that is mailed to a person; ``after`` such mails are old."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.codes_to(email)) <= after:
            assert time.monotonic() < deadline, f"no code came to {email}; logs: {self.logs()}"
            time.sleep(0.05)
        return self.codes_to(email)[-1]

    def codes_to(self, email: str) -> list[str]:
        """Return all codes that were mailed to a person."""
        return self.all_codes().get(email, [])

    def all_codes(self) -> dict[str, list[str]]:
        """Return all codes that were mailed, by address."""
        with self._reading:
            while self._mails_read < len(self.sink.mails):
                mail = self.sink.mails[self._mails_read]
                self._mails_read += 1
                if found := re.match(r"([0-9]{6}) is your", text_of(mail)):
                    self._codes.setdefault(str(mail["To"]), []).append(found[1])
        return self._codes

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in sorted(self.folder.glob("*.log")))


def haproxy(folder: Path, port: int, backends: list[int]) -> list[str]:
    """Return the command of a proxy that asks web servers in turn, and leaves out one that does not listen."""
    program = shutil.which("haproxy")
    if program is None:
        raise servers.MissingServerError("HAProxy is not installed (Debian: apt-get install haproxy)")
    names = "\n".join(f"  server web{number} 127.0.0.1:{at} check inter 200ms" for number, at in enumerate(backends))
    file = folder / "haproxy.cfg"
    file.write_text(PROXY.format(port=port, servers=names, socket=folder / "admin.sock"))
    return [program, "-q", "-db", "-f", str(file)]


PROXY = """
global
  maxconn 200
  stats socket {socket} level admin
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option redispatch
  retries 3
  retry-on conn-failure
listen portal
  bind 127.0.0.1:{port}
  balance roundrobin
  option forwardfor
{servers}
"""


PGBOUNCER = """
[databases]
portal = host=127.0.0.1 port={database} dbname=portal
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {pool_mode}
default_pool_size = 6
max_client_conn = 500
"""


class Visitor:
    """A browser without pictures: follows redirects, keeps cookies, counts the answers by status."""

    def __init__(self, url: str) -> None:
        self.url, self.page, self.path = url, "", ""
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []  # what was asked for where the answer was no page
        self.took: list[float] = []  # seconds for each answer, with its redirects
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def open(self, path: str, **fields: str) -> int:
        """Show a page, or send its form; return the status of the last answer, 0 if there was none."""
        body = None
        if fields:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page)
            body = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1] if token else "", **fields}).encode()
        began = time.monotonic()
        try:
            status = self._ask(path, body)
        except (OSError, HTTPException) as error:
            self.answers[0] += 1
            self.failures.append(f"{path}: {error!r}")
            return 0
        self.answers[status] += 1
        self.took.append(time.monotonic() - began)
        if status >= 500:
            self.failures.append(f"{path}: {status}")
        return status

    def _ask(self, path: str, body: bytes | None) -> int:
        try:
            answer = self._opener.open(self.url + path, body, timeout=PATIENCE_SECONDS)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            self.page = answer.read().decode()
            self.path = urllib.parse.urlsplit(answer.url).path
            return int(answer.status)

    def give_password(self, email: str) -> None:
        """Send the sign-in form."""
        self.open("/account/login")
        self.open("/account/login", identifier=email, password=PASSWORD)

    def give_code(self, code: str) -> None:
        """Send a one-time password."""
        self.open("/account/login/otp", otp=code)

    def is_signed_in(self) -> bool:
        """Return whether a page of the signed-in person opens."""
        return self.open("/account/view") == 200 and self.path == "/account/view"


def sign_in(
    site: Site, email: str, *, meanwhile: Callable[[], object] = lambda: None, visitor: Visitor | None = None
) -> Visitor:
    """Sign in with the person's mode; ``meanwhile`` something happens between the password and the code."""
    visitor, before = visitor or Visitor(site.url), len(site.codes_to(email))
    visitor.give_password(email)
    meanwhile()
    code = app_code(email) if mode_of(email) == "authenticator" else site.code_to(email, after=before)
    visitor.give_code(code)
    return visitor


def app_code(email: str) -> str:
    """Return what a person's authenticator app shows."""
    return pyotp.TOTP(codes.base32(secret_of(email))).now()


@contextmanager
def site(**environment: str) -> Iterator[Site]:
    """Run PostgreSQL, Redis and a mail server, with a migrated database and people in it."""
    with ExitStack() as stack:
        yield Site(stack, **environment)

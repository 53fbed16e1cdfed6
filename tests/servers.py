"""Real servers for tests: PostgreSQL, Redis, an SMTP sink, each in a temporary place on a free port."""

import email
import email.policy
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import pytest

T = TypeVar("T")
PATIENCE_SECONDS = 90


class MissingServerError(RuntimeError):
    """A server is not installed. The message says which, and how to get it."""


def or_skip(start: Callable[[], T]) -> T:
    """Start a server. Where it is not installed, fail in CI; elsewhere skip the test and say what to install."""
    try:
        return start()
    except MissingServerError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")


def wait_until_free(port: int) -> None:
    """Wait until nothing listens at a port, 0 being none."""
    while port:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def postgresql_programs() -> Path:
    """Find the folder of initdb and postgres; Debian keeps them off the path."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not versions:
        raise MissingServerError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return versions[-1].parent


def as_postgres(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


class PostgreSQL:
    """A PostgreSQL server that can be stopped and started again, as at an upgrade."""

    def __init__(self) -> None:
        self._programs = postgresql_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="portal-postgresql-"))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        self.port = free_port()
        self.url = f"postgres://portal@127.0.0.1:{self.port}/portal"
        initdb = [str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", "portal", "-A", "trust",
                  "--no-sync", "-E", "UTF8"]  # fmt: skip
        subprocess.run(as_postgres(initdb), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        # No test survives a power cut, so nothing needs to reach the disk in time.
        options = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=127.0.0.1",
                   "max_connections=200"]  # fmt: skip
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port),
                   "-k", str(self._folder), *(part for option in options for part in ("-c", option))]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(as_postgres(command), cwd="/", stdout=log, stderr=log)
        wait_for_port(self.port, self._process)
        self._wait_for(["psql", "-c", "SELECT 1", "postgres"])

    def make_database(self) -> None:
        self._wait_for(["createdb", "portal"])

    def _wait_for(self, command: list[str]) -> None:
        """Repeat what fails while the server is getting up."""
        program, *arguments = command
        full = [program, "-h", "127.0.0.1", "-p", str(self.port), "-U", "portal", *arguments]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while subprocess.run(full, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not answer to {program}")
            time.sleep(0.2)

    def stop(self, mode: str = "fast") -> None:
        """End it without waiting for its clients; ``immediate``: as a crash does, without writing anything."""
        command = [str(self._programs / "pg_ctl"), "stop", "-D", str(self._folder / "data"), "-m", mode, "-s", "-w"]
        subprocess.run(as_postgres(command), check=True, cwd="/")
        self._process.wait()

    def cpu_seconds(self) -> float:
        """Return the CPU that the server and its processes have used, those that have ended included."""
        main = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                pid, fields = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
                if pid == main:
                    ticks += sum(map(int, fields[11:15]))
                elif int(fields[1]) == main:
                    ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def restartable_postgresql() -> Iterator[PostgreSQL]:
    """Run PostgreSQL with an empty database."""
    server = PostgreSQL()
    try:
        server.start()
        server.make_database()
        yield server
    finally:
        server.stop()
        server.remove()


@contextmanager
def postgresql() -> Iterator[str]:
    """Run PostgreSQL; gives the address of an empty database."""
    with restartable_postgresql() as server:
        yield server.url


@contextmanager
def redis() -> Iterator[str]:
    """Run Redis; gives its address."""
    program = shutil.which("redis-server")
    if program is None:
        raise MissingServerError("Redis is not installed (Debian: apt-get install redis-server)")
    port = free_port()
    folder = tempfile.mkdtemp(prefix="portal-redis-")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise MissingServerError("Chromium is not installed (Debian: apt-get install chromium)")


class SmtpSink:
    """A mail server that keeps what it is given: enough of RFC 5321 for a client that speaks it properly."""

    HANGS_UP = "hangs up"  # an answer: ends the connection in place of one
    IS_SILENT = "is silent"  # likewise: never answers

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []
        # What it answers in place of yes, and to what: "HELO" (connecting), "MAIL", "RCPT", "DATA", "TEXT" (a mail).
        self.answers: dict[str, str] = {}
        self.refusals_to_come = 0
        self.reply = "250 kept"  # to a mail
        self.senders: list[str] = []  # of the envelopes
        self.connections: list[socket.socket] = []  # every one that was ever opened
        self.port = free_port()
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def hang_up(self) -> None:
        """End every open connection, as a server does with those that are idle."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._server.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        # A client that is killed in the middle says no goodbye.
        with suppress(ConnectionError), connection, connection.makefile("rwb") as stream:

            def say(to: str, usual: str) -> str:
                line = self.answers.get(to, usual)
                if line == self.HANGS_UP:
                    raise ConnectionAbortedError
                if line != self.IS_SILENT:
                    stream.write(line.encode() + b"\r\n")
                    stream.flush()
                return line

            say("HELO", "220 sink")
            while line := stream.readline():
                verb = line[:4].upper()
                if verb == b"MAIL":
                    self.senders.append(line.decode().partition("<")[2].partition(">")[0])
                if verb == b"MAIL" and self.refusals_to_come:
                    self.refusals_to_come -= 1
                    say("", "451 try again later")
                elif verb == b"DATA":
                    if say("DATA", "354 go on").startswith("354"):
                        self._read(stream)
                        say("TEXT", self.reply)
                elif verb == b"QUIT":
                    say("", "221 bye")
                    return
                else:
                    say(verb.decode() if verb in {b"MAIL", b"RCPT"} else "", "250 fine")

    def _read(self, stream: BinaryIO) -> None:
        lines = []
        while (line := stream.readline()) and line != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        if line and self.answers.get("TEXT", "2")[0] not in "45":  # else it was broken off or refused: not a mail
            self.keep(b"".join(lines))

    def keep(self, mail: bytes) -> None:
        self.mails.append(
            email.message_from_bytes(mail, _class=email.message.EmailMessage, policy=email.policy.default)
        )

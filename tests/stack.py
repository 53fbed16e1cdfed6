"""The whole product as separate processes, the way a person runs it: once small, once as in production."""

import email
import email.policy
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from datica_account.run import HUGE_PAGES
from tests import servers
from tests.check import PRODUCTION

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a quiet harbour at dawn"
METRICS_TOKEN = "a token of the operators"
PEOPLE = 82
# Whom one test has for itself: so has it this person's organization and its member.
SET_ASIDE = "person80@example.com"
# Each person owns an organization, in which the next one is a member.
SEED = f"""
from django.utils import timezone
from accounts.models import User
from organizations.models import Environment, Membership, Organization, Pod
people = []
pod = Pod.objects.create(name="pod01")
for number in range({PEOPLE}):
    person = User(email=f"person{{number}}@example.com", username=f"person{{number}}", email_verified_at=timezone.now())
    if number == 0:
        person.set_password({PASSWORD!r})
        hashed = person.password
    person.password = hashed
    person.save()
    people.append(person)
for number, person in enumerate(people):
    organization = Organization.objects.create(name=f"Clinic {{number}}")
    Environment.objects.create(organization=organization, pod=pod, name=f"clinic-{{number}}")
    Membership.objects.create(organization=organization, user=person, role="owner")
    Membership.objects.create(organization=organization, user=people[(number + 1) % {PEOPLE}], role="member")
"""


@dataclass
class Stack:
    """A running portal."""

    name: str
    port: int
    mail_folder: Path | None
    sink: servers.SmtpSink | None
    log: Path
    broker: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    second_sink: servers.SmtpSink | None = None
    taken: int = 0
    people: list[str] = field(default_factory=lambda: [f"person{number}@example.com" for number in range(PEOPLE)])

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def somebody(self) -> str:
        """Return the address of a person whom no test has met; every second one, so that members stay unmet too."""
        self.taken += 2
        assert self.people[self.taken - 2] != SET_ASIDE, "Too few people: raise PEOPLE."
        return self.people[self.taken - 2]

    def manage(self, *arguments: str) -> None:
        """Run a command of ``manage.py`` against this portal."""
        _run([*arguments], self.environment)

    def mails(self) -> list[EmailMessage]:
        if self.sink and self.second_sink:
            return [*self.sink.mails, *self.second_sink.mails]
        assert self.mail_folder
        files = sorted(self.mail_folder.glob("*.eml"))
        return [
            email.message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=email.policy.default)
            for file in files
        ]

    def mails_to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails() if str(mail["To"]) == address]

    def wait_for_code(self, address: str, *, after: int = 0) -> str:
        """Wait for a mail with a code and read it; ``after`` such mails are old."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            texts = [text_of(mail) for mail in self.mails_to(address)]
            codes = [text.split(" is your")[0] for text in texts if " is your" in text.splitlines()[0]]
            if len(codes) > after:
                return codes[-1]
            time.sleep(0.1)
        raise AssertionError(f"no code came to {address}; the log: {self.log.read_text()[-3000:]}")

    def wait_for_mail(self, address: str, subject: str) -> None:
        """Wait for a mail by the words of its subject."""
        deadline = time.monotonic() + 60
        while not any(subject in str(mail["Subject"]) for mail in self.mails_to(address)):
            assert time.monotonic() < deadline, f"no mail «{subject}» came to {address}"
            time.sleep(0.1)

    def wait_for_link(self, address: str) -> str:
        """Wait for an invitation and give the page that it leads to."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for mail in self.mails_to(address):
                if found := re.search(r"^http\S+code=\S+", text_of(mail), re.MULTILINE):
                    return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no invitation came to {address}")

    def codes_sent_to(self, address: str) -> int:
        return sum(" is your" in text_of(mail).splitlines()[0] for mail in self.mails_to(address))


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return body.get_content() if body else ""


def _wait_for_page(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    servers.wait_for_port(int(url.rsplit(":", 1)[1]), process)
    if process.poll() is not None:
        raise RuntimeError(log.read_text())


def _run(arguments: list[str], environment: dict[str, str], **options: Any) -> None:
    command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, **options)


def _clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "CI"}}
    return {**kept, "OTP_MAIL_PAUSE": "2s", "PYTHONUNBUFFERED": "1", **more}


def collect_static_files(environment: dict[str, str]) -> None:
    """Collect the static files, unless ``make test`` has done so."""
    if not os.environ.get("STATIC_FILES_COLLECTED"):
        _run(["collectstatic", "--no-input", "--verbosity", "0"], environment)


@contextmanager
def small() -> Iterator[Stack]:
    """What ``make run`` starts: SQLite, the embedded broker, mail in files."""
    folder = Path(tempfile.mkdtemp(prefix="portal-small-"))
    port = servers.free_port()
    environment = _clean_environment(DEVELOPMENT="1", DATA_DIR=str(folder), PORT=str(port))
    _run(["migrate", "--verbosity", "0"], environment)
    _run(["shell", "--verbosity", "0", "--command", SEED], environment)
    log = folder / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-W", "ignore", "-m", "datica_account.run"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        _wait_for_page(f"http://localhost:{port}", process, log)
        yield Stack("small", port, folder / "mail", None, log, environment=environment)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@contextmanager
def large() -> Iterator[Stack]:
    """What an operator runs: gunicorn, a worker, PostgreSQL, Redis, a mail server."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="portal-large-"))
        sink, second_sink = servers.SmtpSink(), servers.SmtpSink()
        stack.callback(sink.close)
        stack.callback(second_sink.close)
        port = servers.free_port()
        environment = _clean_environment(
            **{
                **PRODUCTION,
                "DATABASE_URL": stack.enter_context(servers.postgresql()),
                "CELERY_BROKER_URL": stack.enter_context(servers.redis()),
                "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
                "EMAIL_FALLBACK_URL": f"smtp://127.0.0.1:{second_sink.port}",
                "EMAIL_FALLBACK_AFTER": "1",
                "SITE_URL": f"http://localhost:{port}",
                "ALLOWED_HOSTS": "localhost",
                "DATA_DIR": str(folder),
                "METRICS_TOKEN": METRICS_TOKEN,
                "GLIBC_TUNABLES": HUGE_PAGES,
            }
        )
        collect_static_files(environment)
        _run(["migrate", "--verbosity", "0"], environment)
        _run(["shell", "--verbosity", "0", "--command", SEED], environment)
        log = folder / "log"
        output = stack.enter_context(log.open("wb"))
        python = [sys.executable, "-W", "ignore", "-m"]
        web = [*python, "gunicorn", "datica_account.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "3",
               "--threads", "4", "--limit-request-line", "8190"]  # fmt: skip
        worker = [*python, "celery", "-A", "datica_account", "worker", "-Q", "otp,celery,bulk", "--concurrency", "2"]
        for command in (web, worker):
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
            stack.callback(servers.end, process)
        servers.wait_for_port(port)
        broker = environment["CELERY_BROKER_URL"]
        yield Stack("large", port, None, sink, log, broker, environment, second_sink)

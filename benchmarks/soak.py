"""``make soak``: the portal that ``make run`` starts stays up, and every mail arrives once.

Starts all of it with a folder and a port of its own. For ``MINUTES`` minutes some people sign in by mailed code, each
time from a new browser, and the owner of an organization invites hundreds at once. Ends with 1 if a mail was lost or
came twice, if a sign-in failed, or if a process had to be started again.
"""

import email
import email.policy
import http.cookiejar
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parent.parent
MINUTES = float(os.environ.get("MINUTES", "5"))
PEOPLE_AT_ONCE = 3
# Each signs in this often, or as often as the portal can.
SIGN_IN_EVERY = 2.0
# With twenty mails an hour for each account: enough for any number of hours.
ACCOUNTS = 500
INVITATIONS = 200
INVITE_EVERY = 60.0
CODE_PATIENCE = 60
SAMPLE_EVERY = 2.0
MAILING_PATIENCE = 600
PASSWORD = "a quiet harbour at dawn"
SEED = f"""
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from accounts.models import User
from mfa.models import Factor
hashed, now = make_password({PASSWORD!r}), timezone.now()
names = [f"soak{{number}}@example.com" for number in range({ACCOUNTS})]
users = User.objects.bulk_create(
    [User(email=n, email_key=n, password=hashed, email_verified_at=now, preferred_mode="email") for n in names]
)
Factor.objects.bulk_create([Factor(user=user, mode="email", name="email") for user in users])
"""


class Browser:
    """A new browser: follows redirects, keeps cookies, notes how long each answer took."""

    slowest = (0.0, "nothing")

    def __init__(self, site: str) -> None:
        self.site = site
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)
        self.page = ""
        self.path = ""

    def open(self, path: str, **fields: str) -> None:
        """Show a page, or send its form."""
        body = None
        if fields:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page)
            body = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1] if token else "", **fields}).encode()
        started = time.monotonic()
        with self._opener.open(self.site + path, body, timeout=60) as answer:
            self.page = answer.read().decode()
            self.path = urllib.parse.urlsplit(answer.url).path
        took = time.monotonic() - started
        Browser.slowest = max(Browser.slowest, (took, f"{'POST' if fields else 'GET'} {path}"))


class Mailbox:
    """Reads what arrives in ``DATA_DIR/mail`` once: whom it is for, its Message-ID, its code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids: Counter[str] = Counter()
        self._read: set[str] = set()
        self._codes: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def look(self) -> None:
        """Read what is new."""
        with self._lock:
            names = {file.name for file in self.folder.iterdir()} if self.folder.exists() else set()
            for name in names - self._read:
                if name.endswith(".eml"):
                    self._read.add(name)
                    self._keep((self.folder / name).read_bytes())

    def _keep(self, content: bytes) -> None:
        mail = email.message_from_bytes(content, policy=email.policy.default)
        self.ids[str(mail["Message-ID"]).strip("<>").partition("@")[0]] += 1
        text = mail.get_body(("plain",)).get_content()
        if found := re.match(r"([0-9]{6}) is your", text):
            self._codes.setdefault(str(mail["To"]), []).append(found[1])

    def codes_of(self, address: str) -> int:
        return len(self._codes.get(address, []))

    def wait_for_code(self, address: str, after: int) -> str:
        """Wait for one more code than ``after``."""
        deadline = time.monotonic() + CODE_PATIENCE
        while time.monotonic() < deadline:
            self.look()
            if self.codes_of(address) > after:
                return self._codes[address][-1]
            time.sleep(0.1)
        raise RuntimeError(f"no code came to {address}")


class Soak:
    """People who use one portal until they are told to stop."""

    def __init__(self, site: str, data: Path) -> None:
        self.site = site
        self.data = data
        self.mailbox = Mailbox(data / "mail")
        self.over = threading.Event()
        self.signed_in = 0
        self.invited = 0
        self.longest_wait = 0.0
        self.failures: Counter[str] = Counter()
        self._next_account = 0
        self._lock = threading.Lock()

    def sign_in(self, browser: Browser, address: str, password: str) -> None:
        """Sign in, with a mailed code where one is asked for."""
        before = self.mailbox.codes_of(address)
        browser.open("/account/login")
        browser.open("/account/login", identifier=address, password=password)
        if browser.path.endswith("/otp"):
            asked = time.monotonic()
            code = self.mailbox.wait_for_code(address, before)
            self.longest_wait = max(self.longest_wait, time.monotonic() - asked)
            browser.open("/account/login/otp", otp=code)
        browser.open("/account/view")
        if browser.path != "/account/view":
            raise RuntimeError(f"a sign-in ended at {browser.path}")

    def _account(self) -> str:
        with self._lock:
            self._next_account += 1
            return f"soak{self._next_account % ACCOUNTS}@example.com"

    def _one_sign_in(self) -> None:
        self.sign_in(Browser(self.site), self._account(), PASSWORD)
        with self._lock:
            self.signed_in += 1

    def _one_mailing(self) -> None:
        browser = Browser(self.site)
        self.sign_in(browser, "dana@example.com", "correct-horse-battery")
        browser.open("/organizations")
        organization = re.search(
            r"/organizations/[0-9a-f-]{36}", browser.page[browser.page.index("Sample Org 1") - 400 :]
        )
        if organization is None:
            raise RuntimeError("the organization is not on the page")
        page = f"{organization[0]}/invitations"
        browser.open(page)
        guests = [f"guest{self.invited + number}@example.org" for number in range(INVITATIONS)]
        browser.open(page, email="\n".join(guests))
        if f"{INVITATIONS} invitations are on their way" not in browser.page:
            raise RuntimeError("an invitation of many was refused")
        self.invited += INVITATIONS

    def go_on(self, what: str, every: float) -> None:
        """Do one thing over and over."""
        act = getattr(self, f"_one_{what}")
        while not self.over.is_set():
            started = time.monotonic()
            try:
                act()
            except (OSError, RuntimeError) as error:
                self.failures[f"{what}: {type(error).__name__} {error}"] += 1
            self.over.wait(max(0.0, every - (time.monotonic() - started)))

    def say(self, minutes: float, megabytes: float) -> None:
        """Print how it is going."""
        failures = sum(self.failures.values())
        print(f"{minutes:4.0f} min: {self.signed_in} sign-ins, {self.invited} invitations, {failures} failures, "
              f"{megabytes:.0f} MB", flush=True)  # fmt: skip

    def outbox(self) -> dict[str, str]:
        """Return the state of each mail that the portal wanted to send."""
        with closing(sqlite3.connect(self.data / "portal.sqlite3", timeout=30)) as database:
            return dict(database.execute("SELECT id, state FROM accounts_mail WHERE state != 'dropped'"))

    def missing_mails(self) -> set[str]:
        """Return the ids of the mails that have not arrived."""
        self.mailbox.look()
        return set(self.outbox()) - {mail.replace("-", "") for mail in self.mailbox.ids}

    def wait_for_mails(self, patience: float) -> tuple[set[str], list[str]]:
        """Wait until all mails are there; return the ids of those that are not, and of those that came twice."""
        deadline = time.monotonic() + patience
        while (missing := self.missing_mails()) and time.monotonic() < deadline:
            time.sleep(2)
        return missing, [mail for mail, times in self.mailbox.ids.items() if times > 1]


def memory(portal: subprocess.Popen[bytes]) -> dict[str, float]:
    """Return the resident memory of each of the portal's process groups in MB; pages that they share count twice."""
    rows = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,pgid=,rss=,args="], capture_output=True, text=True, check=True)
    processes = [row.split(maxsplit=4) for row in rows.stdout.splitlines() if len(row.split()) > 4]
    names = {"gunicorn": "web server", " worker ": "worker", " beat": "clock"}
    groups = {}
    for pid, parent, _group, _rss, command in processes:
        if parent == str(portal.pid):
            groups[pid] = next((name for word, name in names.items() if word in command), "?")
    used: Counter[str] = Counter()
    for _pid, _parent, group, rss, _command in processes:
        if group in groups:
            used[groups[group]] += int(rss)
    return {name: kilobytes / 1024 for name, kilobytes in used.items()}


@contextmanager
def portal(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run everything that ``make run`` runs; Ctrl-C ends it."""
    port = servers.free_port()
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    environment = {**kept, "DATA_DIR": str(folder / "data"), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "datica_account.run"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        servers.wait_for_port(port, process)
        seed = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", SEED]
        subprocess.run(seed, cwd=ROOT, env={**environment, "DEVELOPMENT": "1"}, check=True)
        yield process, f"http://localhost:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def lowest_memory(samples: list[dict[str, float]]) -> dict[str, float]:
    """Return the least that each group used: a password takes 100 MB for a moment, which is no growth."""
    return {name: min(sample.get(name, 0.0) for sample in samples) for sample in samples[:1] for name in sample}


def run(soak: Soak, process: subprocess.Popen[bytes]) -> list[dict[str, float]]:
    """Let people use the portal until time is over; return what memory it used from time to time."""
    jobs = [("sign_in", SIGN_IN_EVERY)] * PEOPLE_AT_ONCE + [("mailing", INVITE_EVERY)]
    threads = [threading.Thread(target=soak.go_on, args=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    samples: list[dict[str, float]] = []
    next_report = started + 60
    while time.monotonic() < started + MINUTES * 60 and process.poll() is None:
        time.sleep(SAMPLE_EVERY)
        samples.append(memory(process))
        if time.monotonic() > next_report:
            next_report += 60
            soak.say((time.monotonic() - started) / 60, sum(samples[-1].values()))
    soak.over.set()
    for thread in threads:
        thread.join(CODE_PATIENCE + 60)
    return samples


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="portal-soak-"))
    print(f"{MINUTES:g} minutes; the portal's log is {folder / 'log'}", flush=True)
    with portal(folder) as (process, site):
        soak = Soak(site, folder / "data")
        samples = run(soak, process)
        stayed_up = process.poll() is None
        missing, twice = soak.wait_for_mails(MAILING_PATIENCE if stayed_up else 0)
        queued = [file for file in (folder / "data" / "queue").rglob("*") if file.is_file()]
    ended = report(soak, folder, missing, twice)
    part = max(1, len(samples) // 5)
    # Not the very first: every part of the portal has to have been used.
    first, last = lowest_memory(samples[part : 2 * part]), lowest_memory(samples[-part:])
    for name, megabytes in last.items():
        print(
            f"memory          {name}: {first.get(name, 0):.0f} MB in the second fifth, {megabytes:.0f} MB in the last"
        )
    messages = [file for file in queued if file.suffix == ".msg"]
    print(f"queue           {len(messages)} messages, {len(queued)} files, {sum('bad' in f.parts for f in queued)} bad")
    failed = ended or missing or twice or soak.failures or not soak.signed_in or not stayed_up or process.returncode
    print("FAILED" if failed else "ok", f"(exit code of the portal: {process.returncode})")
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


def report(soak: Soak, folder: Path, missing: set[str], twice: list[str]) -> int:
    """Print what happened; return how many processes had to be started again."""
    log = (folder / "log").read_text()
    ended = re.findall(r"^The .* ended .*$", log, re.MULTILINE)
    slowest, request = Browser.slowest
    print(f"sign-ins        {soak.signed_in} ({soak.signed_in / MINUTES:.0f} a minute)")
    print(f"invitations     {soak.invited}")
    print(f"mails           {len(soak.outbox())} expected, {len(soak.mailbox.ids)} arrived, "
          f"{len(missing)} lost, {len(twice)} twice")  # fmt: skip
    print(f"slowest request {slowest:.2f} s ({request}); longest wait for a code {soak.longest_wait:.2f} s")
    print(f"restarts        {len(ended)}")
    warnings = re.findall(r"\[(?:warning|error)", log)
    print(f"log             {log.count('Traceback')} tracebacks, {len(warnings)} warnings")
    for line in [*ended, *(f"{times} times: {what}" for what, times in soak.failures.most_common(10))]:
        print(f"  {line}")
    return len(ended)


if __name__ == "__main__":
    sys.exit(main())

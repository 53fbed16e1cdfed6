"""The worker is killed in the middle of a mailing: each member gets one mail, and a code does not wait behind it.

``MEMBERS=100000 make crash-test`` is the same for an organization of that size.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from celery import Celery
from kombu import Connection

from tests import servers, stack
from tests.stack import ROOT

pytestmark = pytest.mark.browser

MEMBERS = int(os.environ.get("MEMBERS", "2000"))
PROCESSES = 2
SEED = f"""
from django.utils import timezone
from accounts.models import User
from organizations.models import Membership, Organization, Reminder
names = [f"staff{{number}}@example.com" for number in range({MEMBERS})]
users = [User(email=name, email_key=name, password="!") for name in names]
User.objects.bulk_create(users, batch_size=5000)
organization = Organization.objects.create(name="Hospital")
memberships = [Membership(organization=organization, user=user) for user in users]
Membership.objects.bulk_create(memberships, batch_size=5000)
Reminder.objects.create(organization=organization, kind="owner")
"""
ASK_FOR_A_CODE = """
from accounts.models import Channel, User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa import challenges
from mfa.tests.factories import add_mode
user = UserFactory(email="in.a.hurry@example.com")
add_mode(user, "email")
challenges.begin_sign_in(user, channel=Channel.CLI, origin=Origin())
"""


class CountingSink(servers.SmtpSink):
    """A mail server that remembers whom each mail was for, and its Message-ID: a hundred thousand fit."""

    def __init__(self) -> None:
        self.came: Counter[tuple[str, str]] = Counter()
        super().__init__()

    def keep(self, mail: bytes) -> None:
        head = mail.partition(b"\r\n\r\n")[0].decode()
        fields = {name: re.search(rf"(?m)^{name}: (\S+)", head) for name in ("To", "Message-ID")}
        self.came[tuple(found[1] if found else "" for found in fields.values())] += 1

    def members(self) -> Counter[str]:
        """Count the mails of each member; one that came twice under the same Message-ID is one."""
        return Counter(address for address, _id in list(self.came) if address.startswith("staff"))

    def came_twice(self) -> int:
        return sum(self.came.values()) - len(self.came)


@contextmanager
def worker(environment):
    """Run one worker for all queues; it ends by SIGKILL, with all its processes."""
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "datica_account", "worker", "-Q",
               "otp,celery,bulk", "--concurrency", str(PROCESSES), "--loglevel", "ERROR"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait(sink, number: int, ask=lambda: None) -> None:
    """Wait for mails; gives up when none comes any more."""
    seen, patience = -1, 120
    while len(sink.members()) < number:
        patience = 120 if len(sink.members()) > seen else patience - 1
        seen = len(sink.members())
        assert patience, f"only {seen} mails"
        ask()
        time.sleep(0.5)


def test_each_member_gets_one_mail_though_the_worker_is_killed(large):
    sink = CountingSink()
    broker = f"{large.broker.rpartition('/')[0]}/1"  # where the stack's own worker does not look
    environment = {
        **large.environment,
        "OUTBOX_SEND_TIMEOUT": "4s",
        "OUTBOX_REQUEUE_AFTER": "4s",
        "CELERY_BROKER_URL": broker,
        "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
    }
    stack._run(["shell", "--verbosity", "0", "--command", SEED], environment)

    def ask_for(task: str) -> None:
        with Connection(broker) as connection:
            Celery(set_as_current=False).send_task(task, queue="bulk", connection=connection)

    for mails in (1, MEMBERS // 10):  # the first time the mails of a large organization are still being written
        ask_for("organizations.fan_out_reminders")
        with worker(environment):
            wait(sink, mails, lambda: ask_for("accounts.sweep_outbox"))
    before = len(sink.members())
    assert before < MEMBERS

    started = time.monotonic()
    with worker(environment):
        ask_for("organizations.fan_out_reminders")
        stack._run(["shell", "--verbosity", "0", "--command", ASK_FOR_A_CODE], environment)
        while not any(address.startswith("in.a.hurry") for address, _id in list(sink.came)):
            assert len(sink.members()) < MEMBERS, "the code came after the whole mailing"
            time.sleep(0.1)
        wait(sink, MEMBERS, lambda: ask_for("accounts.sweep_outbox"))
    rate = (MEMBERS - before) / (time.monotonic() - started)
    sink.close()

    print(f"\n{MEMBERS:,} members, killed after {before:,} mails, {rate:.0f} mails a second, "
          f"{sink.came_twice()} came twice under one Message-ID")  # fmt: skip
    assert set(sink.members().values()) == {1}
    # What a server had accepted when its sender was killed: at most one mail a process and kill.
    assert sink.came_twice() <= 2 * PROCESSES

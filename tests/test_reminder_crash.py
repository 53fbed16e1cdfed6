"""The worker is killed in the middle of a mailing: each member gets one mail, and sign-ins do not wait."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from celery import Celery
from kombu import Connection

from tests import stack
from tests.stack import ROOT

pytestmark = pytest.mark.browser

MEMBERS = 800
SEED = f"""
from django.utils import timezone
from accounts.models import User
from organizations.models import Membership, Organization, Reminder
names = [f"staff{{number}}@example.com" for number in range({MEMBERS})]
users = [User(email=name, email_key=name, password="!") for name in names]
User.objects.bulk_create(users)
organization = Organization.objects.create(name="Hospital")
Membership.objects.bulk_create([Membership(organization=organization, user=user) for user in users])
Reminder.objects.create(organization=organization, kind="owner")
"""


def start_worker(environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "datica_account", "worker", "-Q", "bulk",
               "--concurrency", "2", "--loglevel", "ERROR"]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)


def mails(portal) -> Counter[str]:
    """Count what came to each address, a mail that came twice under one Message-ID once."""
    unique = {
        (str(mail["To"]), str(mail["Message-ID"]))
        for mail in portal.mails()
        if "Hospital asks you" in str(mail["Subject"])
    }
    return Counter(address for address, _id in unique)


def wait(portal, number: int, seconds: int, ask) -> None:
    deadline = time.monotonic() + seconds
    while len(mails(portal)) < number:
        assert time.monotonic() < deadline, f"only {len(mails(portal))} mails"
        ask()
        time.sleep(1)


def test_each_member_gets_one_mail_though_the_worker_is_killed(large):
    broker = f"{large.broker.rpartition('/')[0]}/1"  # where the stack's own worker does not look
    environment = {**large.environment, "SENDING_TAKES_AT_MOST": "4s", "QUEUE_MAY_TAKE": "4s"}
    environment["CELERY_BROKER_URL"] = broker
    stack._run(["shell", "--verbosity", "0", "--command", SEED], environment)

    def ask_for(task: str) -> None:
        with Connection(broker) as connection:
            Celery(set_as_current=False).send_task(task, queue="bulk", connection=connection)

    worker = start_worker(environment)
    try:
        ask_for("organizations.fan_out_reminders")
        wait(large, MEMBERS // 10, 60, lambda: None)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        assert len(mails(large)) < MEMBERS

        worker = start_worker(environment)
        ask_for("organizations.fan_out_reminders")
        wait(large, MEMBERS, 150, lambda: ask_for("accounts.sweep_outbox"))
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    assert len(mails(large)) == MEMBERS
    assert set(mails(large).values()) == {1}

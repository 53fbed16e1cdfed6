"""Several machines attack at once: real processes against gunicorn's processes, PostgreSQL and Redis."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli import Cli
from tests.people import Person
from tests.stack import PASSWORD

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = 6
# What each attacker runs: all of them wait for one moment, then send the same request some times.
ATTACK = """
import json, sys, time, urllib.error, urllib.request
url, body, times, moment, agent = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
time.sleep(max(0, moment - time.time()))
for _number in range(times):
    headers = {"Content-Type": "application/json", "User-Agent": agent}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        print(urllib.request.urlopen(request, timeout=60).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


def attack(url: str, body: str, *, times: int) -> Counter[int]:
    """Let all processes send the same; gives how often each status was answered."""
    moment = str(time.time() + 1.5)
    attackers = [
        subprocess.Popen(
            [sys.executable, "-c", ATTACK, url, body, str(times), moment, f"attacker {number}"],
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )
        for number in range(PROCESSES)
    ]
    answers = [attacker.communicate(timeout=120)[0] for attacker in attackers]
    assert all(attacker.returncode == 0 for attacker in attackers)
    return Counter(int(line) for answer in answers for line in answer.split())


def test_one_code_signs_in_once_however_many_bring_it(large, browser_window):
    """SR-12: over processes, not only over threads of one."""
    person = Person(browser_window(), large)
    person.activates_email()
    for _round in range(3):
        before = large.codes_sent_to(person.address)
        waiting = Cli(large.url).must("POST", "/auth/signin", {"identifier": person.address, "password": PASSWORD}).json
        code = large.wait_for_code(person.address, after=before)

        answers = attack(f"{large.url}/auth/signin/mfa/{waiting['mfaID']}", json.dumps({"otp": code}), times=2)

        assert answers[200] == 1, answers
        assert sum(answers.values()) == 2 * PROCESSES


def test_the_throttle_lets_exactly_as_many_through_as_one_after_another(large):
    """SR-5, SR-7: five wrong passwords are looked at, from wherever they come."""
    name = large.somebody()
    answers = attack(f"{large.url}/auth/signin", json.dumps({"identifier": name, "password": "wrong"}), times=4)

    assert answers == {401: 5, 429: 4 * PROCESSES - 5}


def test_wrong_codes_are_counted_over_processes(large, browser_window):
    """SR-15: five for a sign-in."""
    person = Person(browser_window(), large)
    person.activates_email()
    waiting = Cli(large.url).must("POST", "/auth/signin", {"identifier": person.address, "password": PASSWORD}).json
    code = large.wait_for_code(person.address)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    url = f"{large.url}/auth/signin/mfa/{waiting['mfaID']}"

    attack(url, json.dumps({"otp": wrong}), times=3)

    assert attack(url, json.dumps({"otp": code}), times=1)[200] == 0
    person.signs_in()
    log = person.page.request.get(f"{large.url}/account/security-log.csv").text()
    assert log.count("Wrong one-time password") == 5

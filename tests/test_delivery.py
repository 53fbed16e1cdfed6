"""Mail through a real broker, a real worker and a real SMTP conversation."""

import base64
import json
import re
import subprocess
import sys
import time

import pytest
import redis as redis_client
import requests

from tests.people import Person
from tests.servers import SmtpSink
from tests.stack import METRICS_TOKEN, ROOT, text_of

BODY = re.compile(r"body[^A-Za-z0-9+/]+([A-Za-z0-9+/]{20,}={0,2})")

pytestmark = pytest.mark.browser


def test_mail_servers_that_stumble_delay_the_code_but_lose_nothing(browser_window, large):
    person = Person(browser_window(), large)
    person.goes_to("/account/mfa/activate?type=email")
    large.sink.refusals_to_come = large.second_sink.refusals_to_come = 1
    person.gives_credentials("Activate")

    person.types_code(large.wait_for_code(person.address))
    person.clicks("Complete MFA Activation")

    person.reads("Multi-factor Authentication successfully enabled!")
    assert large.sink.refusals_to_come == large.second_sink.refusals_to_come == 0
    assert large.codes_sent_to(person.address) == 1


@pytest.mark.parametrize("trouble", [("MAIL", "421 4.3.2 closing"), ("HELO", SmtpSink.IS_SILENT)], ids=" ".join)
def test_a_code_that_the_first_mail_server_does_not_take_comes_by_the_second_one(browser_window, large, trouble):
    step, answer = trouble
    person = Person(browser_window(), large)
    person.goes_to("/account/mfa/activate?type=email")
    large.sink.hang_up()
    large.sink.answers[step] = answer
    began = time.monotonic()
    person.gives_credentials("Activate")

    code = large.wait_for_code(person.address)

    large.sink.answers.clear()
    assert time.monotonic() - began < 10
    assert code in [text_of(mail)[:6] for mail in large.second_sink.mails if str(mail["To"]) == person.address]
    assert large.codes_sent_to(person.address) == 1
    person.types_code(code)
    person.clicks("Complete MFA Activation")
    person.reads("Multi-factor Authentication successfully enabled!")


def test_a_mail_has_text_first_and_html_with_the_same_code(browser_window, large):
    person = Person(browser_window(), large)
    person.activates_email()

    mail = next(mail for mail in large.mails_to(person.address) if "one-time" in str(mail["Subject"]))

    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    code = text_of(mail)[:6]
    assert code in mail.get_body(("html",)).get_content()
    assert str(mail["From"]) == "Datica <no-reply@example.com>"


def test_the_broker_never_holds_a_code_or_an_address(browser_window, large):
    """SR-19."""
    person = Person(browser_window(), large)
    held: list[str] = []
    with redis_client.from_url(large.broker).monitor() as monitor:
        person.activates_email()
        code = large.wait_for_code(person.address)
        redis_client.from_url(large.broker).set("end", "1")
        for command in monitor.listen():
            held.append(json.dumps(command, default=str))
            if "SET end" in command["command"]:
                break

    bodies = [base64.b64decode(body).decode() for line in held for body in BODY.findall(line)]
    assert any("mfa.one_time_password" in line for line in held)
    assert bodies
    assert {tuple(json.loads(body)[0]) for body in bodies if code in body} == set()
    assert not [line for line in [*held, *bodies] if person.address in line]


def test_metrics_count_what_the_worker_sent_and_ask_the_database_once_for_all_processes(browser_window, large):
    """SR-55: three web processes and a worker with two share a machine."""
    Person(browser_window(), large).activates_email()
    token = {"Authorization": f"Bearer {METRICS_TOKEN}"}

    pages = [requests.get(f"{large.url}/metrics", headers=token, timeout=30).text for _process in range(6)]

    for page in pages:
        assert page.count('portal_mail_queue_length{queue="otp"}') == 1
        assert page.count('portal_mail_breaker{state="closed"} 1.0') == 1
        (accepted,) = re.findall(r'portal_mail_accepted_seconds_count\{provider="127.0.0.1",queue="otp"\} (\S+)', page)
        assert float(accepted) >= 1


def test_an_operator_tests_both_mail_servers(large):
    command = [sys.executable, "-W", "ignore", "manage.py", "mail_status"]

    def run(*arguments):
        return subprocess.run(
            [*command, *arguments], cwd=ROOT, env=large.environment, capture_output=True, text=True, check=False
        )

    answered = run("--test", "operator@example.com")

    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.splitlines() == ["primary (127.0.0.1): 250 kept", "fallback (127.0.0.1): 250 kept"]
    assert run().returncode == 0

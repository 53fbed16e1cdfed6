"""``make run``: starts, says where it is, keeps data, names what is wrong, stops."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import servers

COMMAND = [sys.executable, "-m", "datica_account.run"]
# All that a start says, as the README shows it: no warning of any library.
SAID = """
The portal:     http://localhost:8000/account
Mail appears:   http://localhost:8000/development/inbox  (and below, and in DATA_DIR/mail/)
Demo accounts:
  dana@example.com   password: correct-horse-battery
  olaf@example.com   password: correct-horse-battery
  sam@example.com   password: correct-horse-battery

Ctrl-C stops it.
"""


def environment(tmp_path, port) -> dict:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return {**kept, "DATA_DIR": str(tmp_path / "data"), "PORT": str(port), "PYTHONUNBUFFERED": "1"}


def start_and_stop(tmp_path) -> str:
    """Run the portal until its first page was shown, press Ctrl-C, and give what it said."""
    port = servers.free_port()
    process = subprocess.Popen(
        COMMAND, env=environment(tmp_path, port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        servers.wait_for_port(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/account/login") as page:
            assert page.status == 200
    finally:
        process.send_signal(signal.SIGINT)
        said, _nothing = process.communicate(timeout=30)
    assert process.returncode == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    return said


def test_it_says_where_it_is_and_stops_on_ctrl_c_and_keeps_its_data(tmp_path):
    said = start_and_stop(tmp_path)

    assert re.sub(r"localhost:\d+", "localhost:8000", said).startswith(SAID)
    database = tmp_path / "data" / "portal.sqlite3"
    size = database.stat().st_size

    again = start_and_stop(tmp_path)

    assert "dana@example.com   password:" in again
    assert database.stat().st_size >= size


def test_a_port_in_use_gives_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            COMMAND, env=environment(tmp_path, port), capture_output=True, text=True, check=False, timeout=30
        )

    assert done.returncode == 2
    assert done.stderr.strip() == f"Port {port} is in use. Choose another one: make run PORT={port + 1}"


@pytest.mark.parametrize("port", ["http", ""])
def test_a_port_that_is_no_number_is_named(tmp_path, port):
    done = subprocess.run(
        COMMAND, env=environment(tmp_path, port), capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 2
    assert "PORT" in done.stderr


@contextmanager
def running(tmp_path, **more):
    """Run the portal; give its process and the file of what it says."""
    port = servers.free_port()
    said = tmp_path / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            COMMAND, env={**environment(tmp_path, port), **more}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process, port, said
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def child(process, name: str) -> int:
    """Wait for one of the processes that the portal consists of."""
    for _ in range(200):
        found = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", name], capture_output=True, text=True, check=False
        )
        if found.stdout:
            return int(found.stdout.split()[0])
        time.sleep(0.1)
    raise AssertionError(f"there is no {name}")


def wait_for(condition) -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("what is waited for did not come")


def is_alive(group: int) -> bool:
    """Return whether a process of the group runs; one that has ended may still wait for its parent to take note."""
    states = subprocess.run(["ps", "-e", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return any(line.split()[0] == str(group) and "Z" not in line for line in states.splitlines())


def ask_for_a_mail(port: int) -> None:
    """Ask for a new password of a demo account, as a person does."""
    page = f"http://localhost:{port}/account/password/reset"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(page) as form:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.read().decode())[1]
    browser.open(page, urllib.parse.urlencode({"csrfmiddlewaretoken": token, "identifier": "dana"}).encode()).close()


@pytest.mark.parametrize("name", ["gunicorn", "worker", "beat"])
def test_a_process_that_is_killed_is_started_again_and_said_so_in_one_line(tmp_path, name):
    with running(tmp_path) as (process, port, said):
        servers.wait_for_port(port)
        group = child(process, name)
        os.kill(group, signal.SIGKILL)
        wait_for(lambda: "Starting it again" in said.read_text())

        assert child(process, name) != group
        servers.wait_for_port(port)
        ask_for_a_mail(port)
        wait_for(lambda: "mail to dana@example.com" in said.read_text())

        assert not is_alive(group)
        assert process.poll() is None
    assert process.returncode == 0
    assert len(re.findall(r"ended \(killed by signal 9\). Starting it again in 1 s.", said.read_text())) == 1


def test_until_the_first_mail_a_start_says_what_the_readme_shows_and_nothing_else(tmp_path):
    with running(tmp_path) as (_process, port, said):
        servers.wait_for_port(port)
        ask_for_a_mail(port)
        wait_for(lambda: "mail to dana@example.com" in said.read_text())

    start = said.read_text().partition("\nmail to")[0]
    assert re.sub(r"localhost:\d+", "localhost:8000", start) == SAID
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert SAID.partition("\n\n")[0].strip() in readme


def test_nothing_starts_again_and_nothing_is_left_while_the_portal_stops(tmp_path):
    with running(tmp_path) as (process, port, _said):
        servers.wait_for_port(port)
        groups = {name: child(process, name) for name in ("gunicorn", "worker", "beat")}
        for group in groups.values():
            os.kill(group, signal.SIGKILL)

        process.send_signal(signal.SIGINT)
        process.wait(30)

    assert process.returncode == 0
    assert not any(is_alive(group) for group in groups.values())
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_process_that_cannot_start_ends_the_run_with_its_last_words(tmp_path):
    with running(tmp_path, GUNICORN_CMD_ARGS="--no-such-option") as (process, port, said):
        process.wait(60)

    assert process.returncode == 1
    words = said.read_text()
    assert words.count("Starting it again") == 2
    last = words.rpartition("Starting it again")[2]
    assert "unrecognized arguments: --no-such-option" in last
    assert "The web server cannot start. Its last output is above.\n" in last
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0

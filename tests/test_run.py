"""``make run``: starts, says where it is, keeps data, names what is wrong, stops."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests import servers

COMMAND = [sys.executable, "-W", "ignore", "-m", "datica_account.run"]


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

    assert "The portal:     http://127.0.0.1:" in said
    assert "dana@example.com   password:" in said
    assert "/development/inbox" in said
    database = tmp_path / "data" / "portal.sqlite3"
    size = database.stat().st_size
    assert "Traceback" not in said

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


def test_if_the_worker_dies_the_portal_says_so_and_stops(tmp_path):
    port = servers.free_port()
    process = subprocess.Popen(
        COMMAND, env=environment(tmp_path, port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    servers.wait_for_port(port)
    worker = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "celery"], capture_output=True, text=True, check=True
    )
    time.sleep(1)
    os.kill(int(worker.stdout.split()[0]), signal.SIGKILL)

    said, _nothing = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "ended by itself" in said

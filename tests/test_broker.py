"""The embedded broker: several processes write and read, one is killed, a file is broken; all messages come once."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection, Consumer, Exchange, Queue
from structlog.testing import capture_logs

TRANSPORT = os.environ.get("BROKER_UNDER_TEST", "datica_account.broker:Transport")
WRITERS = 4
READERS = 3
EACH = 1500
PATIENCE_SECONDS = 120
QUEUE = Queue("codes", Exchange("codes"), routing_key="codes")
processes = multiprocessing.get_context("spawn")


def connect(folder: Path) -> Connection:
    """Connect as Celery does."""
    options = {"folder": str(folder), "polling_interval": 0.02}
    if TRANSPORT == "filesystem":  # kombu's own, to see this test fail
        names = ("data_folder_in", "data_folder_out", "control_folder")
        options |= dict.fromkeys(names, str(folder / "messages")) | {"control_folder": str(folder / "control")}
        for name in names:
            Path(str(options[name])).mkdir(parents=True, exist_ok=True)
    return Connection("filesystem://", transport=TRANSPORT, transport_options=options)


def write(folder: Path, writer: int, number: int) -> None:
    """Publish messages, each of which says who wrote it and which of its own it is."""
    with connect(folder) as connection, connection.Producer() as producer:
        for count in range(number):
            producer.publish([writer, count], exchange=QUEUE.exchange, routing_key="codes", declare=[QUEUE])


def read(folder: Path, result: Path, *, acknowledge: bool = True) -> None:
    """Note each message, acknowledge it and go on, until this process is ended."""
    with connect(folder) as connection, result.open("a", buffering=1) as notes:

        def take(body: object, message: object) -> None:
            notes.write(f"{json.dumps(body)}\n")
            if acknowledge:
                message.ack()

        with Consumer(connection, [QUEUE], callbacks=[take], prefetch_count=4):
            while True:
                connection.drain_events()


def taken(results: list[Path]) -> Counter:
    """Count what the readers have noted."""
    lines = [line for result in results if result.exists() for line in result.read_text().splitlines()]
    return Counter(tuple(json.loads(line)) for line in lines)


def wait(condition, *alive) -> None:
    """Wait until a condition holds; give up when a process that should go on has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert all(process.exitcode is None for process in alive), "a process ended by itself"
        assert time.monotonic() < deadline, "what is waited for did not come"
        time.sleep(0.05)


@pytest.fixture
def run():
    """Start processes, and end them after the test."""
    started = []

    def start(function, *arguments, **options):
        process = processes.Process(target=function, args=arguments, kwargs=options)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def files_of(folder: Path) -> list[Path]:
    """Give every message that lies anywhere."""
    return list(folder.rglob("*.msg"))


def test_several_processes_write_and_read_and_nothing_is_lost_or_comes_twice(tmp_path, run):
    folder, results = tmp_path / "queue", [tmp_path / f"reader{number}" for number in range(READERS)]
    readers = [run(read, folder, result) for result in results]

    writers = [run(write, folder, number, EACH) for number in range(WRITERS)]
    for writer in writers:
        wait(lambda process=writer: process.exitcode is not None, *readers)
    wait(lambda: sum(taken(results).values()) >= WRITERS * EACH, *readers)

    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    wait(lambda: not files_of(folder), *readers)
    assert taken(results) == {(writer, count): 1 for writer in range(WRITERS) for count in range(EACH)}


def test_what_a_killed_reader_held_comes_to_another_one(tmp_path, run):
    folder, results = tmp_path / "queue", [tmp_path / "killed", tmp_path / "alive"]
    write(folder, 0, 10)
    killed = run(read, folder, results[0], acknowledge=False)
    wait(lambda: len(taken(results[:1])) == 4, killed)  # as many as it may hold
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()

    alive = run(read, folder, results[1])

    wait(lambda: len(taken(results[1:])) == 10, alive)
    wait(lambda: not files_of(folder), alive)
    assert taken(results[1:]) == {(0, count): 1 for count in range(10)}
    assert len(list((folder / "claimed").glob("*.lock"))) == 1  # nothing is left of the killed one


def test_what_a_living_reader_holds_stays_with_it(tmp_path, run):
    folder, results = tmp_path / "queue", [tmp_path / "slow", tmp_path / "other"]
    write(folder, 0, 4)
    slow = run(read, folder, results[0], acknowledge=False)
    wait(lambda: len(taken(results[:1])) == 4, slow)

    write(folder, 1, 4)
    with connect(folder) as connection:  # a new reader, which first looks for what is to be put back
        got = [connection.SimpleQueue(QUEUE).get(timeout=1).payload[0] for _ in range(4)]

    assert got == [1, 1, 1, 1]
    assert slow.exitcode is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"properties": {}}',
        b'{"properties": {"delivery_tag": "x", "body_encoding": "base64"}, "body": "YQ", "headers": {}}',
        b'{"properties": {"delivery_tag": "x", "body_encoding": "rot13"}, "body": "YQ==", "headers": {}}',
    ],
)
def test_a_file_that_is_no_message_is_set_aside_and_logged_once(tmp_path, content):
    folder = tmp_path / "queue"
    write(folder, 0, 1)
    queue = folder / "messages" / "codes"
    (queue / "00000000000000000000-bad.msg").write_bytes(content)

    with connect(folder) as connection, capture_logs() as logs:
        simple = connection.SimpleQueue(QUEUE)
        message = simple.get(timeout=1)
        message.ack()
        with pytest.raises(Empty):
            simple.get(block=False)

    assert message.payload == [0, 0]
    assert [entry["event"] for entry in logs] == ["broker.bad_file"]
    assert [file.read_bytes() for file in (folder / "bad").iterdir()] == [content]
    assert not list(queue.iterdir())


def test_messages_come_in_the_order_in_which_they_were_written(tmp_path):
    write(tmp_path / "queue", 0, 50)

    with connect(tmp_path / "queue") as connection:
        simple = connection.SimpleQueue(QUEUE, no_ack=True)
        got = [simple.get(timeout=1).payload[1] for _ in range(50)]

    assert got == list(range(50))
    assert not files_of(tmp_path / "queue")  # a reader that acknowledges nothing holds nothing


def test_what_was_not_acknowledged_returns_to_its_place_when_the_reader_closes(tmp_path):
    write(tmp_path / "queue", 0, 3)
    with connect(tmp_path / "queue") as connection:
        first = connection.SimpleQueue(QUEUE).get(timeout=1)
        assert first.payload == [0, 0]

    with connect(tmp_path / "queue") as connection:
        simple = connection.SimpleQueue(QUEUE)
        again = simple.get(timeout=1)
        again.requeue()
        got = []
        for _ in range(3):
            got.append(simple.get(timeout=1))
            got[-1].ack()

    assert sorted(message.payload[1] for message in got) == [0, 1, 2]
    assert not files_of(tmp_path / "queue")
    assert not list((tmp_path / "queue" / "claimed").iterdir())


def test_a_message_to_all_comes_to_every_queue(tmp_path):
    exchange = Exchange("news", type="fanout")
    with connect(tmp_path / "queue") as connection:
        readers = [connection.SimpleQueue(Queue(name, exchange)) for name in ("one", "..", "a/b")]

        connection.Producer().publish("hello", exchange=exchange)

        for reader in readers:
            message = reader.get(timeout=1)
            message.ack()
            assert message.payload == "hello"
    assert not files_of(tmp_path / "queue")
    assert {file.name for file in (tmp_path / "queue" / "messages").iterdir()} == {"one", "%2E%2E", "a%2Fb"}


def test_a_broker_that_cannot_write_says_that_it_is_away(tmp_path):
    with connect(tmp_path / "queue") as connection, connection.Producer() as producer:
        producer.publish("works", exchange="", routing_key="codes")
        (tmp_path / "queue" / "writing").rmdir()
        (tmp_path / "queue" / "writing").write_text("a file where a folder should be")

        with pytest.raises(OSError, match="writing"):  # for which the outbox is ready
            producer.publish("does not", exchange="", routing_key="codes")


@pytest.mark.parametrize("given", [None, "filesystem://", "filesystem://localhost"])
def test_this_broker_is_the_one_of_a_development_machine_and_of_every_filesystem_address(tmp_path, given):
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    environment = {**kept, "DEVELOPMENT": "1", "DATA_DIR": str(tmp_path)}
    program = """
from datica_account.celery import app
app.send_task("accounts.sweep_outbox", queue="otp")
with app.connection_for_read() as connection:
    print(connection.transport_cls, type(connection.transport).__module__)
    print(connection.SimpleQueue("otp").get(timeout=1).headers["task"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | ({"CELERY_BROKER_URL": given} if given else {}),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["datica_account.broker:Transport", "datica_account.broker", "accounts.sweep_outbox"]
    assert (tmp_path / "queue" / "messages" / "otp").is_dir()

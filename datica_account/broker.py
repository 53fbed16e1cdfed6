"""The embedded broker: queues in a folder, for one machine on which no server is installed.

kombu's filesystem transport creates a message's file before it writes it, and removes it before the message is
acknowledged: a reader that comes in between loses the message and ends. This transport has the same URL
(``filesystem://``) and these folders:

========================== =====================================================================================
``messages/<queue>/``      whole messages; their names sort by time
``claimed/<reader>/``      messages that a reader works on, a folder for each queue
``claimed/<reader>.lock``  locked for as long as the reader's process lives
``writing/``               files that are not finished
``exchanges/<exchange>/``  bindings, a file each
``bad/``                   files that are no messages
========================== =====================================================================================

Every step is one rename within one file system, so it happens entirely or not at all:

* A message is written and flushed to disk elsewhere, then renamed into its queue. No reader sees half of one.
* A reader claims a message by renaming it. One of several readers wins; the others go on with the next file.
* A message is deleted when it is acknowledged. One that a reader rejects, or holds when its channel closes, returns to
  its place in the queue.
* The lock of a killed reader is free. The other readers, and the next one that starts, notice that within
  ``RECOVERY_SECONDS`` and put its messages back.
* A file that cannot be read as a message is moved to ``bad/`` and logged, once.

Delivery is therefore *at least once*, and exactly once while no reader is killed. With Celery's ``acks_late`` a task is
lost in no case and runs again if its worker was killed before the acknowledgement. After a loss of power the newest
renames may be missing; the sweep of the outbox queues those mails again. All processes share one local file system.
"""

import fcntl
import os
import time
import uuid
from collections import defaultdict, deque
from contextlib import suppress
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from queue import Empty
from shutil import rmtree
from typing import IO, Any
from urllib.parse import quote

import structlog
from kombu.transport import virtual
from kombu.utils.json import dumps, loads

log = structlog.get_logger(__name__)

MESSAGE = ".msg"
# The number of names that a reader remembers of one queue, until it lists the folder again.
LISTING_SIZE = 1000
RECOVERY_SECONDS = 5.0
# An older draft was left by a killed writer.
DRAFT_LIFETIME_SECONDS = 3600.0


def folder_name(name: str) -> str:
    """Return the name of a queue or exchange as the name of a folder, whatever characters are in it."""
    return quote(name, safe="@").replace(".", "%2E") or "%"


def move(source: Path, target: Path) -> None:
    """Rename a file; make the target's folder if it is missing. Raise ``FileNotFoundError`` without a source."""
    try:
        source.rename(target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)


class Folder:
    """The broker's folder: its layout, and the renames between its parts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.claimed = root / "claimed"
        self.writing = root / "writing"
        for folder in (root / "messages", self.claimed, self.writing):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def queue(self, name: str) -> Path:
        """Return the folder of a queue's messages."""
        return self.root / "messages" / folder_name(name)

    def exchange(self, name: str) -> Path:
        """Return the folder of an exchange's bindings."""
        return self.root / "exchanges" / folder_name(name)

    def write(self, target: Path, content: str) -> None:
        """Write a file so that readers see all of it or nothing."""
        draft = self.writing / uuid.uuid4().hex
        with draft.open("x", encoding="utf-8") as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                move(draft, target)
            except OSError:
                draft.unlink(missing_ok=True)
                raise

    def put_back(self, claimed: Path) -> None:
        """Return a claimed message to its place in its queue, unless it was acknowledged meanwhile."""
        with suppress(FileNotFoundError):
            move(claimed, self.root / "messages" / claimed.parent.name / claimed.name)

    def set_aside(self, file: Path, error: Exception) -> None:
        """Move a file that cannot be used out of the way, and log it."""
        log.error("broker.bad_file", file=f"{file.parent.name}/{file.name}", error=type(error).__name__)
        move(file, self.root / "bad" / f"{file.parent.name}.{file.name}")

    def recover(self) -> None:
        """Put back what readers hold whose process has ended, and delete drafts of writers that were killed."""
        for lock in self.claimed.glob("*.lock"):
            with suppress(FileNotFoundError, BlockingIOError), lock.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.end_claims(lock)
        too_old = time.time() - DRAFT_LIFETIME_SECONDS
        for draft in self.writing.iterdir():
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < too_old:
                    draft.unlink()

    def end_claims(self, lock: Path) -> None:
        """Put back all that a reader holds, and delete its folder and its lock."""
        reader = lock.with_suffix("")
        for claimed in reader.glob(f"*/*{MESSAGE}"):
            self.put_back(claimed)
        rmtree(reader, ignore_errors=True)
        lock.unlink(missing_ok=True)


class Claims:
    """What one reader holds, in a folder whose lock ends with its process."""

    def __init__(self, folder: Folder) -> None:
        name = uuid.uuid4().hex
        self._folder = folder
        self._place = folder.claimed / name
        self._path = folder.claimed / f"{name}.lock"
        self._held: dict[str, Path] = {}
        draft = folder.writing / name
        self._lock: IO[bytes] = draft.open("xb")
        # Locked before it has its name: no other reader ever finds it free while this one lives.
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        draft.rename(self._path)

    def take(self, message: Path) -> Path | None:
        """Claim a message; return where it is now, or None if another reader was faster."""
        claimed = self._place / message.parent.name / message.name
        try:
            move(message, claimed)
        except FileNotFoundError:
            return None
        self._held[message.name] = claimed
        return claimed

    def set_aside(self, name: str, error: Exception) -> None:
        """Move what cannot be used out of the way."""
        self._folder.set_aside(self._held.pop(name), error)

    def delete(self, name: str) -> None:
        """Delete a message that was acknowledged."""
        if claimed := self._held.pop(name, None):
            claimed.unlink(missing_ok=True)

    def put_back(self, name: str) -> None:
        """Return a message to its place in its queue."""
        if claimed := self._held.pop(name, None):
            self._folder.put_back(claimed)

    def close(self) -> None:
        """Put back what is still held, and end the lock."""
        self._held.clear()
        self._folder.end_claims(self._path)
        self._lock.close()


class QoS(virtual.QoS):
    """The unacknowledged messages of a channel. Acknowledging or rejecting one updates its file."""

    channel: "Channel"

    def ack(self, delivery_tag: str) -> None:
        """Delete the message."""
        self.channel.delete(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put the message back, or delete it."""
        if not requeue:
            self.channel.delete(delivery_tag)
        super().reject(delivery_tag, requeue)


class Channel(virtual.Channel):
    """One reader, or writer, of the folder."""

    QoS = QoS
    supports_fanout = True

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self.folder = Folder(Path(connection.client.transport_options["folder"]))
        self._claims: Claims | None = None  # a channel that only writes needs no lock
        self._listed: defaultdict[str, deque[str]] = defaultdict(deque)
        self._recover_at = 0.0

    # --- messages ---

    def _put(self, queue: str, message: dict[str, Any], **_kwargs: Any) -> None:
        name = f"{time.time_ns():020}-{uuid.uuid4().hex}{MESSAGE}"
        self.folder.write(self.folder.queue(queue) / name, dumps(message))

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        if time.monotonic() >= self._recover_at:
            self._recover_at = time.monotonic() + RECOVERY_SECONDS
            self.folder.recover()
        while name := self._next_name(queue):
            if message := self._claim(self.folder.queue(queue) / name):
                return message
        raise Empty

    def _names(self, queue: str) -> list[str]:
        with suppress(FileNotFoundError):
            names = os.listdir(self.folder.queue(queue))  # noqa: PTH208  (ten thousand paths take ten times as long)
            return [name for name in names if name.endswith(MESSAGE)]
        return []

    def _next_name(self, queue: str) -> str | None:
        """Return the oldest message that this reader has not looked at; sort a folder once for many of them."""
        listed = self._listed[queue]
        if not listed:
            listed.extend(nsmallest(LISTING_SIZE, self._names(queue)))
        return listed.popleft() if listed else None

    def _claim(self, file: Path) -> dict[str, Any] | None:
        """Claim and read a message. Return None if another reader has it, or if it is none."""
        if self._claims is None:
            self._claims = Claims(self.folder)
        claimed = self._claims.take(file)
        if claimed is None:
            return None
        try:
            return self._read(claimed)
        except Exception as error:  # noqa: BLE001  (whatever is wrong with one file, the next may be right)
            self._claims.set_aside(file.name, error)
            return None

    def _read(self, claimed: Path) -> dict[str, Any]:
        message: dict[str, Any] = loads(claimed.read_bytes())
        if not {"body", "headers", "properties"} <= message.keys():
            raise ValueError("a part of the message is missing")
        # Where the message lies, whichever copy of it this is.
        message["properties"]["delivery_tag"] = claimed.name
        self.Message(message, channel=self)  # what kombu cannot read must not reach its loop
        return message

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue; a message that needs no acknowledgement is deleted before it is handled."""

        def accept(message: Any) -> Any:
            self.delete(message.delivery_tag)
            return callback(message)

        return super().basic_consume(queue, no_ack, accept if no_ack else callback, *args, **kwargs)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Get one message, or None."""
        message = super().basic_get(queue, no_ack, **kwargs)
        if message is not None and no_ack:
            self.delete(message.delivery_tag)
        return message

    def delete(self, delivery_tag: Any) -> None:
        """Delete a message that was acknowledged."""
        if self._claims:
            self._claims.delete(delivery_tag)

    def _restore(self, message: Any) -> None:
        if self._claims:
            self._claims.put_back(message.delivery_tag)

    def close(self) -> None:
        """Put back what was not acknowledged."""
        super().close()
        if self._claims:
            self._claims.close()
            self._claims = None

    # --- queues ---

    def _new_queue(self, queue: str, **_kwargs: Any) -> None:
        self.folder.queue(queue).mkdir(mode=0o700, exist_ok=True)

    def _has_queue(self, queue: str, **_kwargs: Any) -> bool:
        return self.folder.queue(queue).is_dir()

    def _size(self, queue: str) -> int:
        return len(self._names(queue))

    def _purge(self, queue: str) -> int:
        names = self._names(queue)
        for name in names:
            (self.folder.queue(queue) / name).unlink(missing_ok=True)
        return len(names)

    # --- exchanges: which queues get a message ---

    def _binding(self, exchange: str, binding: list[str]) -> Path:
        return self.folder.exchange(exchange) / sha256(dumps(binding).encode()).hexdigest()

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        binding = [routing_key or "", pattern or "", queue or ""]
        self.folder.write(self._binding(exchange, binding), dumps(binding))

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return the bindings of an exchange: routing key, pattern and queue."""
        bindings = []
        for file in self.folder.exchange(exchange).glob("*"):
            try:
                routing_key, pattern, queue = loads(file.read_bytes())
            except FileNotFoundError:  # unbound meanwhile
                continue
            except ValueError as error:
                self.folder.set_aside(file, error)
                continue
            bindings.append((routing_key, pattern, queue))
        return bindings

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        for _key, _pattern, queue in self.get_table(exchange):
            self._put(queue, message, **kwargs)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_args: Any, **_kwargs: Any) -> None:
        self._purge(queue)
        self._binding(exchange, [routing_key or "", pattern or "", queue or ""]).unlink(missing_ok=True)
        with suppress(OSError):  # a message came meanwhile, or another process has deleted it
            self.folder.queue(queue).rmdir()


class Transport(virtual.Transport):
    """The embedded broker as a kombu transport."""

    Channel = Channel
    implements = virtual.Transport.implements.extend(exchange_type=frozenset(["direct", "topic", "fanout"]))
    # A full disk counts as an unreachable broker: a worker tries again, and a request sends its mail itself.
    connection_errors = (*virtual.Transport.connection_errors, OSError)
    driver_type = driver_name = "filesystem"
    default_port = 0

    def driver_version(self) -> str:
        """Return kombu's word for a driver without versions."""
        return "N/A"

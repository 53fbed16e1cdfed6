"""What a block of code sends to the database, and which line of ours sent it."""

import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
# Not ours, or only the frame around what is.
ELSEWHERE = (str(ROOT / ".venv"), str(ROOT / "tests"), str(ROOT / "benchmarks"))
MARKS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@dataclass(frozen=True)
class Sent:
    """One statement, and the innermost lines of the portal that led to it."""

    sql: str
    lines: tuple[str, ...]

    @property
    def is_mark(self) -> bool:
        """Whether it only begins or ends a transaction or a part of one."""
        return self.sql.startswith(MARKS)

    def __str__(self) -> str:
        return f"{self.sql[:110]}  <- {' <- '.join(self.lines)}"


@dataclass
class Statements:
    """Everything that was sent, in order."""

    sent: list[Sent] = field(default_factory=list)

    @property
    def statements(self) -> int:
        return sum(not sent.is_mark for sent in self.sent)

    @property
    def marks(self) -> int:
        return sum(sent.is_mark for sent in self.sent)

    def __str__(self) -> str:
        return "\n".join(map(str, self.sent))


class _Log(deque[dict[str, Any]]):
    def __init__(self, found: Statements) -> None:
        super().__init__()
        self.found = found

    def append(self, query: dict[str, Any]) -> None:
        self.found.sent.append(Sent(" ".join(str(query["sql"]).split()), _lines()))


def _lines() -> tuple[str, ...]:
    frames = [
        frame
        for frame in traceback.extract_stack()
        if frame.filename.startswith(str(ROOT)) and not frame.filename.startswith(ELSEWHERE)
    ]
    return tuple(f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno}" for frame in frames[::-1][:3])


@contextmanager
def recorded() -> Iterator[Statements]:
    """Record what this thread's connection sends within the block."""
    found = Statements()
    before, forced = connection.queries_log, connection.force_debug_cursor
    connection.queries_log, connection.force_debug_cursor = _Log(found), True
    try:
        yield found
    finally:
        connection.queries_log, connection.force_debug_cursor = before, forced

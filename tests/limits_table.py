"""``make limits``: write the table of all limits in docs/security.md from their declarations."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path

from accounts.limits import Limit, Number, Part, Time

PAGE = Path(__file__).resolve().parent.parent / "docs" / "security.md"
BEGIN, END = "<!-- limits: begin -->\n", "<!-- limits: end -->\n"
APPS = ("accounts", "mfa", "organizations")


def limits() -> Iterator[tuple[str, Limit]]:
    """Yield each limit with the file that declares it."""
    seen = set()
    for app in map(importlib.import_module, APPS):
        for found in pkgutil.iter_modules(app.__path__):
            module = importlib.import_module(f"{app.__name__}.{found.name}")
            for limit in (limit for value in vars(module).values() for limit in _in(value)):
                if limit not in seen:
                    seen.add(limit)
                    yield f"{app.__name__}/{found.name}.py", limit


def _in(value: object) -> Iterator[Limit]:
    """Yield the limits of a module's variable: a limit, or a dataclass of some."""
    if isinstance(value, Limit):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        yield from (part for field in fields(value) if isinstance(part := getattr(value, field.name), Limit))


def table() -> str:
    """Return the table in Markdown."""
    rows = [
        f"| {limit.what} | {limit.per}{'' if limit.key else ' (on its row)'} | {_amount(limit)} | `{file}` |"
        for file, limit in limits()
    ]
    return "\n".join(["| what | counted for each | limit | module |", "| --- | --- | --- | --- |", *sorted(rows), ""])


def _amount(limit: Limit) -> str:
    parts = []
    if limit.tries:
        parts.append(_number(limit.tries) + (f" in {_time(limit.window)}" if limit.window else ""))
    if limit.free:
        delays = f"a delay from {_time(limit.first_delay)} to {_time(limit.longest_delay)}"
        parts.append(f"{_number(limit.free)} in a row, then {delays}")
    if limit.in_a_row:
        then = (
            f"one every {_time(limit.pause).removeprefix('1 ')}" if limit.pause else "none until the password is reset"
        )
        parts.append(f"after {_number(limit.in_a_row)} in a row, {then}")
    elif limit.pause:
        parts.append(f"one every {_time(limit.pause)}")
    return "; ".join(parts)


def _number(number: Number) -> str:
    if isinstance(number, Part):
        return f"{number.words} `{number.setting}`"
    return f"`{number}`" if isinstance(number, str) else str(number)


def _time(time: Time) -> str:
    if isinstance(time, str):
        return f"`{time}`"
    for unit, length in (("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if time >= length:
            count = time // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise ValueError(time)


def page() -> str:
    """Return docs/security.md with the table of today."""
    before, rest = PAGE.read_text().split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"


def write() -> None:
    PAGE.write_text(page())

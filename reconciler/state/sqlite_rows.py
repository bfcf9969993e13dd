"""Many rows in one step of SQLite.

Every step hands the interpreter to other threads and waits to get it back: between two steps, a busy sender would go
on for as long as the whole write takes otherwise.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Row = TypeVar("Row")
_VARIABLES = 999
"""More in one statement is not for every SQLite."""


def insert(db: sqlite3.Connection, verb: str, rows: Sequence[Sequence[int | str | bytes | None]]) -> None:
    """`verb` is INSERT INTO or INSERT OR REPLACE INTO, and the table; all `rows` are as wide as it."""
    if not rows:
        return
    width = len(rows[0])
    row = f"({','.join('?' * width)})"
    for some in _pages(rows, _VARIABLES // width):
        db.execute(f"{verb} VALUES {','.join([row] * len(some))}", [value for values in some for value in values])


def select(db: sqlite3.Connection, serials: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """(serial, body, seal) of those of the devices that have a row. What is not as it was written looks altered."""
    line = "serial || char(10) || body || char(10) || hex(seal)"
    for some in _pages(serials, _VARIABLES):
        found = f"SELECT group_concat({line}, char(10)) FROM device WHERE serial IN ({','.join('?' * len(some))})"  # noqa: S608 - question marks
        [[text]] = db.execute(found, some)
        lines = iter(str(text).split("\n") if text is not None else ())
        for serial, body, mark in zip(lines, lines, lines, strict=False):
            yield serial, body, _bytes(mark)


def _bytes(mark: str) -> bytes:
    try:
        return bytes.fromhex(mark)
    except ValueError:
        return b""


def _pages(rows: Sequence[Row], size: int) -> Iterable[Sequence[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))

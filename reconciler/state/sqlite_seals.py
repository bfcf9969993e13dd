"""Rows that carry a seal over their content: what the state is, who has the lease, and each device of the snapshot."""

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reconciler.canonical import checksum
from reconciler.model import Json
from reconciler.state.backend import Head
from reconciler.state.check import damaged
from reconciler.state.right import Right, right_from_json, right_to_json


@dataclass(frozen=True, slots=True)
class Sums:
    """The `state` row: the head, and what the device rows add up to.

    `total` is the sum of their seals as numbers, modulo 2^128: their order does not matter.
    """

    head: Head
    devices: int = 0
    total: int = 0


def seal(key: str, body: str) -> bytes:
    """The checksum of a row's key and its content."""
    return checksum(f"{key}\0{body}")


def opened(path: Path, key: str, body: str, mark: bytes) -> dict[str, Any]:
    """The content of a row of the state at `path`. Raises StateCorrupt unless `mark` is its seal."""
    if seal(key, body) != mark:
        raise damaged(path, f"the row of {key} was altered")
    content: dict[str, Any] = json.loads(body)
    return content


def sums_in(db: sqlite3.Connection, path: Path) -> Sums:
    """The `state` row. Raises StateCorrupt."""
    row = _sealed(db, path, "state")
    return Sums(**{**row, "head": Head(**row["head"])})


def right_in(db: sqlite3.Connection, path: Path) -> Right:
    """The `lease` row. Raises StateCorrupt."""
    return right_from_json(_sealed(db, path, "lease"))


def put_sums(db: sqlite3.Connection, sums: Sums) -> None:
    """Write the `state` row."""
    _put(db, "state", asdict(sums))


def put_right(db: sqlite3.Connection, right: Right) -> None:
    """Write the `lease` row."""
    _put(db, "lease", right_to_json(right))


def _sealed(db: sqlite3.Connection, path: Path, name: str) -> dict[str, Any]:
    row = db.execute("SELECT body, seal FROM sealed WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise damaged(path, f"its {name} row is gone")
    return opened(path, name, *row)


def _put(db: sqlite3.Connection, name: str, content: dict[str, Json]) -> None:
    body = json.dumps(content)
    db.execute("INSERT OR REPLACE INTO sealed VALUES (?, ?, ?)", (name, body, seal(name, body)))

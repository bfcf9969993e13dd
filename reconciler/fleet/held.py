"""The snapshot where several processes can look things up in it, each what it needs."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from reconciler import temporary
from reconciler.change_json import device_from_json
from reconciler.model import DeviceState, Serial
from reconciler.state.backend import Backend, Look

_AT_ONCE = 500


@contextmanager
def copied(backend: Backend) -> Iterator[tuple[Path, Look]]:
    """A copy of the snapshot, checked as a whole, for as long as the block runs; and the moment that it shows.

    Raises sqlite3.Error where it cannot be written, and StateError like `Backend.copy`.
    """
    with temporary.folder() as room:
        path = room / "held.db"
        with closing(sqlite3.connect(path)) as db:
            db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            db.execute("CREATE TABLE device (serial TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID")

            def keep(rows: Sequence[tuple[Serial, str]]) -> None:
                try:
                    db.executemany("INSERT INTO device VALUES (?, ?)", rows)
                except sqlite3.Error as error:
                    raise _Unwritten(error) from None

            try:
                look = backend.copy(keep)
            except _Unwritten as unwritten:
                raise unwritten.error from None
            db.commit()
        yield path, look


class _Unwritten(Exception):
    """Past the backend, which would take an error of ours for one of the state's."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(error)
        self.error = error


def held(copy: Path, serials: Sequence[Serial]) -> Mapping[Serial, DeviceState]:
    """How those of these devices stand that are in the copy."""
    found: dict[Serial, DeviceState] = {}
    with closing(sqlite3.connect(copy)) as db:
        for start in range(0, len(serials), _AT_ONCE):
            page = serials[start : start + _AT_ONCE]
            query = f"SELECT serial, body FROM device WHERE serial IN ({', '.join('?' * len(page))})"  # noqa: S608 - marks
            rows = db.execute(query, page).fetchall()
            bodies = json.loads(f"[{','.join(body for _, body in rows)}]")
            found.update(zip((serial for serial, _ in rows), map(device_from_json, bodies), strict=True))
    return found


def quiet(state: DeviceState) -> bool:
    """Whether there is nothing about a device that plans must tell but what changed."""
    return state.unknown is None and not state.divergence and not state.unconfirmed


def everyone(copy: Path) -> Iterator[Serial]:
    """Every device in the copy."""
    with closing(sqlite3.connect(copy)) as db:
        yield from (serial for (serial,) in db.execute("SELECT serial FROM device"))

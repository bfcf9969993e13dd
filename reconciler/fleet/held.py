"""The snapshot where several processes can look things up in it, each what it needs."""

import json
import sqlite3
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain
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
    with closing(sqlite3.connect(copy)) as db:
        pages = (serials[start : start + _AT_ONCE] for start in range(0, len(serials), _AT_ONCE))
        return {serial: state for page in pages for serial, state in _select(db, page).items()}


def _select(db: sqlite3.Connection, serials: Sequence[Serial]) -> dict[Serial, DeviceState]:
    query = f"SELECT serial, body FROM device WHERE serial IN ({', '.join('?' * len(serials))})"  # noqa: S608 - marks
    rows = db.execute(query, serials).fetchall()
    bodies = json.loads(f"[{','.join(body for _, body in rows)}]")
    return dict(zip((serial for serial, _ in rows), map(device_from_json, bodies), strict=True))


class Lookup(Mapping[Serial, DeviceState]):
    """How devices stand: `serials`, all of which a copy has, and those that are `at_hand`.

    A page of the copy is in memory at a time, for whoever asks in the order of serials. Its file may be gone by then.
    """

    def __init__(self, copy: Path, serials: Iterable[Serial], at_hand: Mapping[Serial, DeviceState]) -> None:
        self._db = sqlite3.connect(copy)
        weakref.finalize(self, self._db.close)
        self._serials = sorted(set(serials) - at_hand.keys())
        self._at_hand, self._page = at_hand, dict[Serial, DeviceState]()

    def __getitem__(self, serial: Serial) -> DeviceState:
        if serial in self._at_hand:
            return self._at_hand[serial]
        if serial not in self._page:
            begin = bisect_left(self._serials, serial)
            if self._serials[begin : begin + 1] != [serial]:
                raise KeyError(serial)
            self._page = _select(self._db, self._serials[begin : begin + _AT_ONCE])
        return self._page[serial]

    def __iter__(self) -> Iterator[Serial]:
        return chain(self._at_hand, self._serials)

    def __len__(self) -> int:
        return len(self._at_hand) + len(self._serials)


def quiet(state: DeviceState) -> bool:
    """Whether there is nothing about a device that plans must tell but what changed."""
    return state.unknown is None and not state.divergence and not state.unconfirmed


def everyone(copy: Path) -> Iterator[Serial]:
    """Every device in the copy."""
    with closing(sqlite3.connect(copy)) as db:
        yield from (serial for (serial,) in db.execute("SELECT serial FROM device"))

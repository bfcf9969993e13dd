"""State in one SQLite file: `sqlite:PATH`.

Three tables: `journal`, `device` (the snapshot, one row a device) and `sealed` (what the state is, and the lease).
Every row but the journal's carries a seal over its content, and the state's row the number and the sum of the device
seals: a flipped byte, a lost row or an added one is found when the snapshot is read. The journal has its hash chain.

Reading takes no lease: a transaction sees one moment of the file, and what a plan is computed from is checked again,
device by device, when it is applied. Reads are short, so that they never keep a writer waiting for long.
"""
# ruff: noqa: D102 - backend.py states the law of each method

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from reconciler.change_json import device_from_json, device_to_json
from reconciler.model import (
    DeviceState,
    Draft,
    Entry,
    EntryKind,
    Holder,
    Lease,
    Rhythm,
    Serial,
    Snapshot,
)
from reconciler.state.advance import advance
from reconciler.state.backend import Head, Keep, Look
from reconciler.state.chain import GENESIS
from reconciler.state.check import damage, damaged
from reconciler.state.right import Right, fenced, granted, not_locked, revoked, same
from reconciler.state.sqlite_file import create, reading, writing
from reconciler.state.sqlite_rows import insert, select
from reconciler.state.sqlite_seals import Sums, opened, put_right, put_sums, right_in, seal, sums_in

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Pending:
    """The devices that wait for an answer, as our last append left them at `head`, with the weight of each row.

    What follows in the journal is their outcomes, which need not read again what we just wrote.
    """

    head: Head
    devices: Mapping[Serial, tuple[DeviceState, int]]


class SqliteBackend:
    """A Backend (see backend.py) in one file. `now` is the clock that leases run by, in UNIX seconds."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._pending = _Pending(Head(), {})
        self._seconds = 0.0

    def read(self) -> Snapshot:
        found = self._load()
        if found is None:
            return Snapshot()
        head, devices = found
        return Snapshot(head.lineage, head.revision, devices, head.server)

    def head(self) -> Head:
        with reading(self._path) as db:
            return sums_in(db, self._path).head if db else Head()

    def look(self, since: Head, serials: Collection[Serial] = ()) -> Look | None:
        with reading(self._path) as db:
            if db is None:
                return None if since.lineage else Look(Head(), "", 0)
            sums = sums_in(db, self._path)
            then = db.execute("SELECT hash FROM journal WHERE seq = ?", (since.seq,)).fetchone() if since.seq else None
            if since.lineage not in {"", sums.head.lineage} or (then[0] if then else GENESIS) != since.hash:
                return None
            query = "SELECT DISTINCT serial FROM journal WHERE seq > ? AND serial IS NOT NULL"
            touched = frozenset(Serial(serial) for (serial,) in db.execute(query, (since.seq,)))
            rows = select(db, [*{*touched, *serials}])
            devices = {
                Serial(serial): device_from_json(opened(self._path, serial, body, mark)) for serial, body, mark in rows
            }
            lease = right_in(db, self._path).lease
            return Look(sums.head, self._mark(), sums.devices, touched, devices, lease)

    def copy(self, keep: Keep) -> Look:
        with reading(self._path) as db:
            if db is None:
                return Look(Head(), "", 0)
            sums = sums_in(db, self._path)
            self._checked(sums, db.execute("SELECT serial, body, seal FROM device ORDER BY serial"), keep)
            return Look(sums.head, self._mark(), sums.devices, lease=right_in(db, self._path).lease)

    def entries(self, *, serial: Serial | None = None, after: int = 0) -> Iterator[Entry]:
        query = "SELECT * FROM journal WHERE seq > ? AND (? IS NULL OR serial = ?) ORDER BY seq LIMIT ?"
        while True:
            with reading(self._path) as db:
                rows = db.execute(query, (after, serial, serial, _PAGE)).fetchall() if db else []
            for row in rows:
                yield self._entry(row)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def acquire(self, holder: Holder, *, ttl: float) -> Lease:
        create(self._path, _begin)
        with writing(self._path) as db:
            lease = granted(right_in(db, self._path), holder, ttl=ttl, now=self._now())
            put_right(db, Right(lease.epoch, lease))
        return lease

    def renew(self, lease: Lease, *, ttl: float) -> Lease:
        with writing(self._path) as db:
            now = self._now()
            renewed = replace(fenced(right_in(db, self._path), lease, now), expires=now + ttl)
            put_right(db, Right(renewed.epoch, renewed))
        return renewed

    def release(self, lease: Lease) -> None:
        with writing(self._path) as db:
            right = right_in(db, self._path)
            if right.lease and same(right.lease, lease):
                put_right(db, replace(right, lease=None))

    def lease(self) -> Lease | None:
        with reading(self._path) as db:
            return right_in(db, self._path).lease if db else None

    def append(self, lease: Lease, drafts: Sequence[Draft]) -> int:
        begun = time.monotonic()
        with writing(self._path) as db:
            fenced(right_in(db, self._path), lease, self._now())
            revision = self._record(db, drafts)
        self._seconds = time.monotonic() - begun
        return revision

    def rhythm(self) -> Rhythm:
        return Rhythm(self._seconds)

    def unlock(self, lease_id: str, *, by: str, at: str, force: bool = False) -> Lease:
        if self.lease() is None:
            raise not_locked()
        with writing(self._path) as db:
            right = right_in(db, self._path)
            lease, draft = revoked(right, lease_id, by=by, at=at, now=self._now(), force=force)
            put_right(db, replace(right, lease=None))
            self._record(db, [draft])
        return lease

    def verify(self) -> int:
        found = self._load()
        if found is None:
            return 0
        head, devices = found
        with reading(self._path) as db:
            wrong = db.execute("PRAGMA integrity_check(1)").fetchone()[0] if db else "it was just removed"
        if wrong == "ok":
            wrong = damage(self.entries(), devices, seq=head.seq, last=head.hash)
        if wrong:
            raise damaged(self._path, wrong)
        return head.seq

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _record(self, db: sqlite3.Connection, drafts: Sequence[Draft]) -> int:
        sums = sums_in(db, self._path)
        held = self._held(db, sums.head, {draft.serial for draft in drafts if draft.serial is not None})
        moved = advance(sums.head, drafts, lambda serial: held[serial][0] if serial in held else None)
        insert(db, "INSERT INTO journal", list(map(_row, moved.entries)))
        devices, total = sums.devices - len(held), sums.total - sum(weight for _, weight in held.values())
        rows, pending = [], dict(self._known(sums.head))
        for serial, state in moved.devices.items():
            pending.pop(serial, None)
            if state is None:
                continue
            body = _ENCODER.encode(device_to_json(state))
            mark = seal(serial, body)
            rows.append((serial, body, mark))
            devices, total = devices + 1, total + int.from_bytes(mark)
            if state.unknown:
                pending[serial] = state, int.from_bytes(mark)
        gone = [(serial,) for serial, state in moved.devices.items() if state is None]
        db.executemany("DELETE FROM device WHERE serial = ?", gone)
        insert(db, "INSERT OR REPLACE INTO device", rows)
        put_sums(db, Sums(moved.head, devices, total % 2**128))
        self._pending = _Pending(moved.head, pending)
        return moved.head.revision

    def _held(self, db: sqlite3.Connection, head: Head, serials: set[Serial]) -> dict[Serial, tuple[DeviceState, int]]:
        """The devices as they stand, and the weight of each row: from memory, if nobody wrote since we did."""
        known = self._known(head)
        held = {serial: known[serial] for serial in serials & known.keys()}
        for serial, body, mark in select(db, [*(serials - held.keys())]):
            held[Serial(serial)] = device_from_json(opened(self._path, serial, body, mark)), int.from_bytes(mark)
        return held

    def _known(self, head: Head) -> Mapping[Serial, tuple[DeviceState, int]]:
        return self._pending.devices if self._pending.head == head else {}

    def _load(self) -> tuple[Head, dict[Serial, DeviceState]] | None:
        devices: dict[Serial, DeviceState] = {}

        def keep(rows: Sequence[tuple[Serial, str]]) -> None:
            # One document for many rows: keys are then shared in memory, and parsed 1.5 times as fast.
            bodies = json.loads(f"[{','.join(body for _, body in rows)}]")
            devices.update(zip((serial for serial, _ in rows), map(device_from_json, bodies), strict=True))

        head = self.copy(keep).head
        return (head, devices) if head.lineage else None

    def _checked(self, sums: Sums, rows: Iterable[tuple[Serial, str, bytes]], keep: Keep) -> None:
        """Hand on rows, a page at a time; damage in any of them ends it."""
        total = count = 0
        remaining = iter(rows)
        while page := list(islice(remaining, _PAGE)):
            for serial, body, mark in page:
                if seal(serial, body) != mark:
                    raise damaged(self._path, f"the row of {serial} was altered")
                total += int.from_bytes(mark)
            count += len(page)
            keep([(serial, body) for serial, body, _ in page])
        if count != sums.devices or total % 2**128 != sums.total:
            raise damaged(self._path, f"it holds {count} devices that do not add up to the {sums.devices} written")

    def _mark(self) -> str:
        status = self._path.stat()
        return f"{status.st_mtime_ns}.{status.st_size}.{status.st_ino}"

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        seq, kind, at, run, serial, data, previous, digest = row
        try:
            if not all(isinstance(text, str) for text in (at, run, serial or "", previous, digest)):
                raise ValueError("what must be text is not")  # noqa: TRY301 - damage like the others
            return Entry(seq, EntryKind(kind), at, run, serial, json.loads(data), previous, digest)
        except (TypeError, ValueError) as error:
            raise damaged(self._path, f"entry {seq} cannot be read: {error}") from error


def _begin(db: sqlite3.Connection) -> None:
    put_sums(db, Sums(Head(lineage=str(uuid4()))))
    put_right(db, Right())


def _row(entry: Entry) -> tuple[int | str | None, ...]:
    # ASCII JSON: a server may answer with half a surrogate pair, which SQLite's UTF-8 cannot hold.
    data = _ENCODER.encode(dict(entry.data))
    return entry.seq, entry.kind.value, entry.at, entry.run, entry.serial, data, entry.previous, entry.hash


_ENCODER = json.JSONEncoder(check_circular=False)

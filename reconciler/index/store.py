"""What is known of the inventory's files from the last plan, so that the next one reads only what moved.

One SQLite file, derived from the inventory and the state and worth nothing without them: whoever deletes it makes one
plan slower. Files are known by the sum of their content, and by a mark of their status that spares reading them; each
under the context that decided what its content means. Devices are known by the sum of their desired fields, and whether
the state had exactly these. What must differ between devices, or exist, is found here without reading anything.

The law: with an index or without, a plan is the same.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import fsdecode, fsencode
from typing import NamedTuple

from reconciler.model import Serial

FORMAT = 1
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE folder (path BLOB PRIMARY KEY, mark TEXT NOT NULL, context TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE file (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, folder BLOB NOT NULL, mark TEXT NOT NULL,
    sum BLOB NOT NULL, loud INTEGER NOT NULL, until TEXT NOT NULL, devices INTEGER NOT NULL);
CREATE TABLE device (serial TEXT NOT NULL, file INTEGER NOT NULL, sum BLOB NOT NULL, same INTEGER NOT NULL);
CREATE TABLE claim (path TEXT NOT NULL, value BLOB NOT NULL, file INTEGER NOT NULL);
CREATE TABLE reference (serial TEXT NOT NULL, file INTEGER NOT NULL);
CREATE TABLE swap (new TEXT NOT NULL, old TEXT NOT NULL, file INTEGER NOT NULL);
CREATE TABLE fact (fact TEXT PRIMARY KEY, file INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE extra (serial TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS file_folder ON file (folder);
CREATE INDEX IF NOT EXISTS file_loud ON file (loud) WHERE loud;
CREATE INDEX IF NOT EXISTS file_until ON file (until) WHERE until <> '';
CREATE INDEX IF NOT EXISTS device_serial ON device (serial COLLATE NOCASE);
CREATE INDEX IF NOT EXISTS device_file ON device (file);
CREATE INDEX IF NOT EXISTS device_pending ON device (file) WHERE NOT same;
CREATE INDEX IF NOT EXISTS claim_value ON claim (path, value);
CREATE INDEX IF NOT EXISTS claim_file ON claim (file);
CREATE INDEX IF NOT EXISTS reference_serial ON reference (serial);
CREATE INDEX IF NOT EXISTS reference_file ON reference (file);
CREATE INDEX IF NOT EXISTS fact_file ON fact (file);
"""
_INTO = {
    "file": "INSERT INTO file (id, path, folder, mark, sum, loud, until, devices) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "device": "INSERT INTO device (serial, sum, same, file) VALUES (?, ?, ?, ?)",
    "claim": "INSERT INTO claim (path, value, file) VALUES (?, ?, ?)",
    "reference": "INSERT INTO reference (serial, file) VALUES (?, ?)",
    "swap": "INSERT INTO swap (new, old, file) VALUES (?, ?, ?)",
}
_OF_A_FILE = ("device", "claim", "reference", "swap", "fact")


class Indexed(NamedTuple):
    """What one file comes to. `path` is absolute, `sum` of its content.

    `loud`: something about it has to be told by every plan. `until`: the last day (YYYY-MM-DD) on which its content
    means this, or "". `devices`: serial, sum of the desired fields, whether the state holds just these. `claims`: where
    a value must be unique, and its sum. `references` are serials that must be declared; `swaps` new and old ones.
    """

    path: str
    sum: bytes
    loud: bool
    until: str
    devices: tuple[tuple[Serial, bytes, bool], ...]
    claims: tuple[tuple[str, bytes], ...] = ()
    references: tuple[str, ...] = ()
    swaps: tuple[tuple[Serial, Serial], ...] = ()


class Index:
    """An open index. Nothing of what is done to it stays, unless `keep` is called.

    `settle` puts a new one, once it is closed, to where the next plan looks for it. `why` tells why it is new.
    """

    def __init__(self, db: sqlite3.Connection, settle: Callable[[], None] | None = None, *, why: str = "") -> None:
        self._db = db
        self._settle = settle
        self.why = why

    def meta(self) -> dict[str, str]:
        """What holds for the index as a whole."""
        return dict(self._db.execute("SELECT key, value FROM meta"))

    def put_meta(self, values: Mapping[str, str]) -> None:
        """Set some of `meta`."""
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def folders(self) -> dict[str, tuple[str, str]]:
        """The mark and the context of each folder."""
        rows = self._db.execute("SELECT * FROM folder")
        return {fsdecode(path): (mark, context) for path, mark, context in rows}

    def files(self, folder: str) -> dict[str, tuple[str, bytes]]:
        """The files of a folder with their marks and sums."""
        query = "SELECT path, mark, sum FROM file WHERE folder = ?"
        rows = self._db.execute(query, (fsencode(folder),))
        return {fsdecode(path): (mark, total) for path, mark, total in rows}

    def put_folder(self, path: str, mark: str, context: str) -> None:
        """Remember a folder."""
        self._db.execute("INSERT OR REPLACE INTO folder VALUES (?, ?, ?)", (fsencode(path), mark, context))

    def put_marks(self, marks: Mapping[str, str]) -> None:
        """Remember by which marks files are known from now on."""
        rows = ((mark, fsencode(path)) for path, mark in marks.items())
        self._db.executemany("UPDATE file SET mark = ? WHERE path = ?", rows)

    def put(self, files: Iterable[tuple[str, str, Indexed]]) -> None:
        """Remember files, each with its folder and mark; what was known of them is dropped already."""
        rows: dict[str, list[tuple[str | bytes | bool | int, ...]]] = {table: [] for table in _INTO}
        last: int = self._db.execute("SELECT COALESCE(MAX(id), 0) FROM file").fetchone()[0]
        for number, (folder, mark, found) in enumerate(files, last + 1):
            about = mark, found.sum, found.loud, found.until, len(found.devices)
            rows["file"].append((number, fsencode(found.path), fsencode(folder), *about))
            rows["device"] += [(*device, number) for device in found.devices]
            rows["claim"] += [(*claim, number) for claim in found.claims]
            rows["reference"] += [(serial, number) for serial in found.references]
            rows["swap"] += [(*swap, number) for swap in found.swaps]
        for table, inside in rows.items():
            self._db.executemany(_INTO[table], inside)

    def drop(self, paths: Iterable[str]) -> set[Serial]:
        """Forget files and what is in them; the devices that they declared."""
        gone: set[Serial] = set()
        empty = self._db.execute("SELECT 1 FROM file").fetchone() is None
        for path in () if empty else paths:
            for (number,) in self._db.execute("SELECT id FROM file WHERE path = ?", (fsencode(path),)).fetchall():
                query = "SELECT serial FROM device WHERE file = ?"
                gone |= {serial for (serial,) in self._db.execute(query, (number,))}
                for table in _OF_A_FILE:
                    self._db.execute(f"DELETE FROM {table} WHERE file = ?", (number,))  # noqa: S608 - ours
                self._db.execute("DELETE FROM file WHERE id = ?", (number,))
        return gone

    def drop_folder(self, path: str) -> None:
        """Forget a folder, which has no files any more."""
        self._db.execute("DELETE FROM folder WHERE path = ?", (fsencode(path),))

    def facts(self) -> dict[tuple[str, ...], str]:
        """What is true of layers, and the file that witnesses it."""
        rows = self._db.execute("SELECT fact, path FROM fact JOIN file ON file.id = fact.file")
        return {tuple(json.loads(fact)): fsdecode(path) for fact, path in rows}

    def put_facts(self, facts: Mapping[tuple[str, ...], str]) -> None:
        """Remember what is true of layers; files that are not known witness nothing."""
        query = "INSERT OR IGNORE INTO fact SELECT ?, id FROM file WHERE path = ?"
        self._db.executemany(query, ((json.dumps(fact), fsencode(path)) for fact, path in facts.items()))

    def where(self, paths: Iterable[str]) -> dict[str, tuple[str, str]]:
        """The folder and the mark of each of these files."""
        query = "SELECT folder, mark FROM file WHERE path = ?"
        rows = {path: self._db.execute(query, (fsencode(path),)).fetchone() for path in paths}
        return {path: (fsdecode(folder), mark) for path, (folder, mark) in rows.items()}

    def restless(self, today: str) -> set[str]:
        """Files that every plan reads: loud ones, pending ones, and those whose meaning ended before `today`."""
        query = """SELECT path FROM file WHERE loud UNION SELECT path FROM file WHERE until <> '' AND until < ?
            UNION SELECT path FROM file WHERE id IN (SELECT file FROM device WHERE NOT same)"""
        return {fsdecode(path) for (path,) in self._db.execute(query, (today,))}

    def known(self, serial: str) -> tuple[bytes, str] | None:
        """The sum of a device's desired fields, and its file; None if it is not declared."""
        query = """SELECT device.sum, path FROM device JOIN file ON file.id = device.file
            WHERE serial = ? COLLATE NOCASE AND serial = ?"""
        row = self._db.execute(query, (serial, serial)).fetchone()
        return (row[0], fsdecode(row[1])) if row else None

    def put_same(self, serials: Iterable[tuple[Serial, bool]]) -> None:
        """Remember whether the state holds just what is desired."""
        query = "UPDATE device SET same = ? WHERE serial = ? COLLATE NOCASE AND serial = ?"
        self._db.executemany(query, ((same, serial, serial) for serial, same in serials))

    def count(self) -> int:
        """How many times a device is declared."""
        found: int = self._db.execute("SELECT COALESCE(SUM(devices), 0) FROM file").fetchone()[0]
        return found

    def declared(self) -> int:
        """How many serial numbers that is: a device that is declared twice counts once."""
        found: int = self._db.execute("SELECT COUNT(DISTINCT serial) FROM device").fetchone()[0]
        return found

    def serials(self) -> Iterator[Serial]:
        """Every declared device."""
        return (serial for (serial,) in self._db.execute("SELECT serial FROM device"))

    def inside(self, paths: Iterable[str]) -> set[Serial]:
        """The devices that these files declare."""
        query = "SELECT serial FROM device WHERE file = (SELECT id FROM file WHERE path = ?)"
        return {serial for path in paths for (serial,) in self._db.execute(query, (fsencode(path),))}

    def undeclared(self, serials: Iterable[Serial]) -> Iterator[Serial]:
        """Those of `serials` that no file declares."""
        query = "SELECT 1 FROM device WHERE serial = ? COLLATE NOCASE AND serial = ?"
        return (serial for serial in serials if self._db.execute(query, (serial, serial)).fetchone() is None)

    def extra(self) -> set[Serial]:
        """Devices that the state holds and no file declared."""
        return {Serial(serial) for (serial,) in self._db.execute("SELECT serial FROM extra")}

    def put_extra(self, serials: Iterable[Serial]) -> None:
        """Remember these as `extra`, and no others."""
        self._db.execute("DELETE FROM extra")
        self._db.executemany("INSERT INTO extra VALUES (?)", ((serial,) for serial in serials))

    def swaps(self) -> dict[Serial, str]:
        """Devices that are declared to replace another, and their files."""
        rows = self._db.execute("SELECT new, path FROM swap JOIN file ON file.id = swap.file")
        return {new: fsdecode(path) for new, path in rows}

    def complete(self) -> None:
        """Make what was put quick to find. Before, nothing below may be asked."""
        for statement in _INDEXES.split(";"):
            self._db.execute(statement)

    def conflicts(self) -> set[str]:
        """Files that do not go together: their devices, their unique values, or what they refer to."""
        queries = (
            """SELECT file FROM device WHERE serial COLLATE NOCASE IN
                (SELECT serial FROM device GROUP BY serial COLLATE NOCASE HAVING COUNT(*) > 1)""",
            """SELECT file FROM claim JOIN (SELECT path AS p, value AS v FROM claim GROUP BY path, value
                HAVING COUNT(*) > 1) ON path = p AND value = v""",
            """SELECT file FROM reference WHERE NOT EXISTS
                (SELECT 1 FROM device WHERE serial = reference.serial COLLATE NOCASE AND serial = reference.serial)""",
            """SELECT swap.file FROM swap JOIN device ON device.serial = old COLLATE NOCASE AND device.serial = old
                UNION SELECT device.file FROM swap JOIN device
                ON device.serial = old COLLATE NOCASE AND device.serial = old""",
            "SELECT file FROM swap WHERE old IN (SELECT old FROM swap GROUP BY old HAVING COUNT(*) > 1)",
        )
        numbers = {number for query in queries for (number,) in self._db.execute(query)}
        found = (self._db.execute("SELECT path FROM file WHERE id = ?", (number,)).fetchone() for number in numbers)
        return {fsdecode(path) for (path,) in found}

    def keep(self) -> Exception | None:
        """Let what was done stay. What cannot be written stays undone: the next plan costs more, and is the same."""
        try:
            self._db.commit()
            if self._settle:
                self._db.close()
                self._settle()
        except (sqlite3.Error, OSError) as error:
            return error
        return None

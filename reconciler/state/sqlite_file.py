"""One SQLite file as durable storage: creating, opening, recognising it, and saying in words what is wrong with it.

Each transaction opens the file anew: half a millisecond next to several for the disk, and nothing to go stale.
"""

import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from reconciler.errors import StateBusy, StateCorrupt, StateError, StateTooNew
from reconciler.state.check import damaged

APPLICATION_ID = 0x7A726563
FORMAT = 1
BUSY_SECONDS = 10.0
"""How long a transaction waits for another one. Readers hold the file for well under a second."""

_TABLES = (
    "CREATE TABLE sealed (name TEXT PRIMARY KEY, body TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE device (serial TEXT PRIMARY KEY, body TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE journal (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, at TEXT NOT NULL, run TEXT NOT NULL,
    serial TEXT, data TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL)""",
)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A transaction that sees one moment of the file and changes nothing; None if there is no file.

    The file is opened for writing where that is allowed, yet with `query_only`: after a crash in mid-transaction the
    first reader must be able to undo the half of it that reached the file, which mode=ro cannot.
    """
    with _explained(path):
        if not _exists(path):
            yield None
            return
        with closing(_connect(path)) as db:
            db.execute("PRAGMA query_only=ON")
            db.execute("BEGIN")
            _recognise(db, path)
            yield db


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that is durable when the block ends, and never happened if it raises."""
    with _explained(path), closing(_connect(path)) as db:
        # EXTRA also syncs the folder after the journal is deleted: without it, a power cut can undo a commit.
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA synchronous=EXTRA")
        db.execute("BEGIN IMMEDIATE")
        _recognise(db, path)
        yield db
        db.execute("COMMIT")


def create(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make the file with its tables and what `fill` puts in; does nothing if there is one already.

    It appears under its name complete or not at all, so that an empty file is always damage, never a beginning.
    """
    with _explained(path):
        if _exists(path):
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with closing(_connect(draft)) as db:
                db.execute("PRAGMA synchronous=EXTRA")
                db.execute("BEGIN IMMEDIATE")
                db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={FORMAT}")
                for table in _TABLES:
                    db.execute(table)
                fill(db)
                db.execute("COMMIT")
            _place(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def _place(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)  # unlike a rename, never over somebody else's file
    except FileExistsError:
        return
    for folder in (path.parent, path.parent.parent):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exists(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise StateError(f"{path} is {kind}; `state` in the settings must name a file: sqlite:FOLDER/state.db")
    return True


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _recognise(db: sqlite3.Connection, path: Path) -> None:
    [[application]] = db.execute("PRAGMA application_id")
    [[version]] = db.execute("PRAGMA user_version")
    if application != APPLICATION_ID:
        raise StateCorrupt(
            f"{path} is empty or another program's database, not a state; restore it from a backup,"
            " or name another file as `state` in the settings"
        )
    if version > FORMAT:
        raise StateTooNew(
            f"{path} has state format {version}, this program knows up to {FORMAT};"
            " use the version of the program that wrote it, or a newer one"
        )
    if version < FORMAT:
        raise StateCorrupt(f"{path} has state format {version}, which never existed; restore it from a backup")


_DAMAGE = {"CORRUPT", "NOTADB", "ERROR", "CONSTRAINT", "MISMATCH", "FORMAT", "SCHEMA", "RANGE"}
_LOCKED = {"BUSY", "LOCKED"}
_TROUBLE = {
    "READONLY": "it, its folder or the file system is read-only for this user; nothing was written",
    "CANTOPEN": "it or its folder may not be opened by this user; nothing was written",
    "PERM": "this user may not open it; nothing was written",
    "FULL": "the disk is full; nothing was written. Free some space and run again",
    "IOERR": "the disk failed or a limit on file size was reached; nothing was written",
}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        # Python's own errors, such as text that is not UTF-8, carry no SQLite name: the file holds what we never write.
        name = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")
        family = name.removeprefix("SQLITE_").split("_")[0]
        if family in _DAMAGE:
            raise damaged(path, str(error)) from error
        if family in _LOCKED:
            raise StateBusy(
                f"{path} was locked by another program for more than {BUSY_SECONDS:.0f} s; nothing was written;"
                f" close what has it open, and run again ({name})"
            ) from error
        words = _TROUBLE.get(family, "nothing was written")
        raise StateError(f"{path}: {words} ({error}; {name})") from error
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}") from error

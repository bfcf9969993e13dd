"""Where an index lies: found, made, and put in the place of another."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from reconciler import temporary
from reconciler.index.store import FORMAT, TABLES, Index


@contextmanager
def opened(place: Path | None, context: str, *, anew: bool = False) -> Iterator[Index]:
    """The index at `place`; an empty one where there is none, it is damaged, or of another format or `context`.

    `anew`: empty in any case. Without a place, or where none can be written, it is a temporary one.
    """
    found = _present(place, context) if place and not anew else ""
    if isinstance(found, sqlite3.Connection):
        with closing(found):
            yield Index(found)
        return
    with ExitStack() as stack:
        room, settled = _room(place, stack)
        if place and not settled:
            found = f"no index can be written in {place.parent}"
        fresh = room / "index.db"
        fresh.touch(mode=0o600)
        with closing(_connected(fresh)) as db:
            db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + TABLES)
            db.execute("INSERT INTO meta VALUES ('format', ?), ('context', ?)", (str(FORMAT), context))
            yield Index(db, partial(_put, fresh, settled) if settled else None, why=found)


def _present(place: Path, context: str) -> sqlite3.Connection | str:
    """A connection to a whole index of this context that is ours; why there is none."""
    with suppress(sqlite3.Error, OSError):
        if not place.is_file():
            return "there is no index yet"
        if place.stat().st_uid != os.getuid():
            return "the index is somebody else's"
        db = _connected(place)
        with suppress(sqlite3.Error):
            meta: dict[str, Any] = dict(db.execute("SELECT key, value FROM meta"))
            (size,) = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
            if size != place.stat().st_size:  # SQLite takes for zeros what is missing of the last page
                raise sqlite3.DatabaseError
            if (meta.get("format"), meta.get("context")) == (str(FORMAT), context):
                return db
            db.close()
            return (
                "something that reaches every file (the program, the schema, a setting, a group, the day) has changed"
            )
        db.close()
    return "the index is damaged"


def _put(fresh: Path, place: Path) -> None:
    """Put an index in the place of another, unless a plan is writing that one: raises sqlite3.Error.

    What a killed plan left to be undone goes with it: SQLite would undo it in the new one, and nobody would notice.
    """
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    with ExitStack() as stack:
        if place.is_file():
            try:
                stack.enter_context(closing(_connected(place))).execute("BEGIN EXCLUSIVE")
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                    raise
        place.with_name(f"{place.name}-journal").unlink(missing_ok=True)
        fresh.replace(place)


def _connected(place: Path) -> sqlite3.Connection:
    db = sqlite3.connect(place, timeout=0.2, isolation_level="DEFERRED", cached_statements=64)
    db.execute("PRAGMA cache_size = -16384")
    return db


def _room(place: Path | None, stack: ExitStack) -> tuple[Path, Path | None]:
    """A folder to make an index in, and where it may stay: None, and in any folder, where nothing can be written."""
    if place is not None:
        with suppress(OSError):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return stack.enter_context(temporary.folder(place.parent)), place
    return stack.enter_context(temporary.folder()), None

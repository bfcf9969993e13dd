"""Folders for what only one run needs."""

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from reconciler.interrupt import uninterrupted

_NAME = re.compile(r"reconciler-[a-z0-9_]{8}")
_LOCK = "lock"
_DATA = ("held.db", "index.db")


@contextmanager
def folder(where: Path | None = None) -> Iterator[Path]:
    """A folder in `where`, else among the temporary files, that only we can read and that goes with the block.

    It is for `held.db` and `index.db`: nothing else is ever removed. First go the folders that killed runs left there:
    a run locks a file in its own, and a lock ends with the process, however that ends. Raises OSError where none can be
    made.
    """
    with uninterrupted():  # it tries what it finds
        where = where or Path(tempfile.gettempdir())
    _sweep(where)
    with ExitStack() as stack:
        with uninterrupted():
            room = Path(tempfile.mkdtemp(prefix="reconciler-", dir=where))
            stack.callback(_remove, room)
            lock = stack.enter_context((room / "new").open("wb"))
            with suppress(OSError):  # of file systems without locks: what is left there stays
                fcntl.flock(lock, fcntl.LOCK_EX)
                (room / "new").rename(room / _LOCK)
        yield room


def _sweep(where: Path) -> None:
    with suppress(OSError), os.scandir(where) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_dead(Path(entry.path))


def _remove_if_dead(room: Path) -> None:
    """Only what is a folder of ours in every respect. Raises OSError for one whose run lives."""
    status = room.lstat()
    if (status.st_mode, status.st_uid) != (stat.S_IFDIR | 0o700, os.getuid()):
        return
    if not {_LOCK} <= {path.name for path in room.iterdir()} <= {_LOCK, *_DATA}:
        return
    lock = os.open(room / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(lock).st_mode):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(room)
    finally:
        os.close(lock)


def _remove(room: Path) -> None:
    """The lock last: without one, a folder is nobody's to remove."""
    with uninterrupted(), suppress(OSError):
        for name in (*_DATA, "new", _LOCK):
            (room / name).unlink(missing_ok=True)
        room.rmdir()

"""Folders for what only one run needs."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "reconciler-"
_LOCK = "lock"


@contextmanager
def folder(where: Path | None = None) -> Iterator[Path]:
    """A folder in `where`, else among the temporary files, that only we can read and that goes with the block.

    First go those that killed runs left there: a run locks a file in its own, and a lock ends with the process, however
    that ends. Raises OSError where none can be made.
    """
    where = where or Path(tempfile.gettempdir())
    _sweep(where)
    room = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where, ignore_cleanup_errors=True)
    try:
        with Path(room.name, "new").open("wb") as file:
            with suppress(OSError):  # of file systems without locks: what is left there stays
                fcntl.flock(file, fcntl.LOCK_EX)
                Path(file.name).rename(Path(room.name, _LOCK))
            yield Path(room.name)
    finally:
        try:
            room.cleanup()
        except KeyboardInterrupt:
            room.cleanup()
            raise


def _sweep(where: Path) -> None:
    with suppress(OSError), os.scandir(where) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                with suppress(OSError), Path(entry.path, _LOCK).open("rb+") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry.path, ignore_errors=True)

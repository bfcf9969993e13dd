"""Which files have to be read: those that moved since the index was made, and those that every plan looks at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.canonical import checksum
from reconciler.fleet.context import Context
from reconciler.index import Index
from reconciler.inventory.files import Folder
from reconciler.inventory.read import contents


@dataclass(slots=True)
class Moved:
    """`read` are the files to read, by absolute name, with their folders and marks; `gone` are not there any more."""

    read: dict[str, tuple[str, str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


def moved(index: Index, root: Path, folders: Iterable[Folder], context: Context, today: str) -> Moved:
    """What to read. The index learns the folders and the marks of files that were touched and hold what they held.

    `root` is where messages count from.
    """
    result = Moved()
    known = index.folders()
    for folder in folders:
        mark, where = folder.mark, context.folders[folder.path]
        before = known.pop(folder.path, None)
        if before == (mark, where) and mark:
            continue
        files = index.files(folder.path) if before else {}
        result.gone |= files.keys() - folder.files.keys()
        same = _same(root, files, folder.files) if before and before[1] == where else {}
        index.put_marks({path: now for path, now in same.items() if now != files[path][0]})
        result.read |= {path: (folder.path, now) for path, now in folder.files.items() if path not in same}
        index.put_folder(folder.path, mark, where)
    for path in known:
        result.gone |= index.files(path).keys()
        index.drop_folder(path)
    restless = index.restless(today) - result.gone - result.read.keys()
    result.read |= index.where(restless)
    return result


def _same(root: Path, files: Mapping[str, tuple[str, bytes]], now: Mapping[str, str]) -> dict[str, str]:
    """The files that hold what they held, with their marks of now. Only those whose mark tells nothing are read."""
    there = {path: mark for path, mark in now.items() if path in files}
    sure = {path for path, mark in there.items() if mark and mark == files[path][0]}
    touched = contents(root, (path for path in there if path not in sure))
    return {path: there[path] for path in sure} | {
        path: there[path] for path, data in touched if checksum(data) == files[path][1]
    }

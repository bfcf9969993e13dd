"""Which files an inventory is made of: those that declare devices, and the layers above them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG

from reconciler.inventory.document import DEFAULTS, GROUPS
from reconciler.model import Problem, Source

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Folder:
    """The device files of one folder, by absolute name, in their order: each with what tells whether it was touched.

    That is "" for a file which may be touched without a trace: one behind a link, or one touched so lately that the
    clock of its file system has hardly moved since. `mark` speaks for the folder as a whole in the same way.
    """

    path: str
    files: Mapping[str, str]

    @property
    def mark(self) -> str:
        """One text for all files."""
        if "" in self.files.values():
            return ""
        lines = "\n".join(f"{file}\0{mark}" for file, mark in self.files.items())
        return sha256(os.fsencode(lines)).hexdigest()


def folders(root: Path, inventory: Path, before: int) -> Iterator[Folder | Problem]:
    """The folders below `inventory` that hold device files, and what is wrong with names and links.

    An inventory may be a single file: a folder of its own, without layers above.

    A file whose status changed at `before` or later (UNIX time in ns) has no mark.
    """
    top = os.path.abspath(inventory)  # noqa: PTH100 - keeps links as they are
    if not os.path.isdir(top):  # noqa: PTH112
        for found in device_files(root, inventory):
            if isinstance(found, Problem):
                yield found
            else:
                yield Folder(os.path.dirname(found), {found: _mark(Path(found), before)})  # noqa: PTH120 - a name, as all here
        return
    folder: str | None = None
    files: dict[str, str] = {}
    for item in _walk(root, top):
        if isinstance(item, Problem):
            yield item
            continue
        path = item.path
        parent = path[: -len(item.name) - 1]
        if parent != folder:
            if folder is not None:
                yield Folder(folder, files)
            folder, files = parent, {}
        files[path] = _mark(item, before)
    if folder is not None:
        yield Folder(folder, files)


def _mark(entry: "os.DirEntry[str] | Path", before: int) -> str:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return ""  # gone by now, which whoever reads it will find out
    if status.st_ctime_ns >= before or not S_ISREG(status.st_mode):
        return ""
    return f"{status.st_size}.{status.st_mtime_ns}.{status.st_ctime_ns}.{status.st_ino}.{status.st_dev}"


def size_of(path: str, mark: str) -> int:
    """How many bytes a file has, by its mark if it has one; 0 for one that is gone."""
    if mark:
        return int(mark.split(".", 1)[0])
    try:
        return os.path.getsize(path)  # noqa: PTH202 - a hundred thousand times
    except OSError:
        return 0


def device_files(root: Path, path: Path) -> Iterator[str | Problem]:
    """The files among and below `path`, by absolute name. A file named outright counts whatever its name."""
    if os.path.isdir(path):  # noqa: PTH112 - False for what cannot be reached; Path.is_dir raises
        found = _walk(root, os.path.abspath(path))  # noqa: PTH100 - keeps links as they are
        yield from (item if isinstance(item, Problem) else item.path for item in found)
    elif os.path.lexists(path):
        yield os.path.abspath(path)  # noqa: PTH100
    else:
        name = display(root, path)
        fix = "check the path, name another folder with -C, or begin an inventory with: reconciler init"
        yield Problem("RC101", f"there is no such file or folder in {root}", fix, Source(name, 1))


def no_files(root: Path, path: Path) -> Problem:
    """The problem of an inventory, or a part of one, that holds no device files."""
    fix = "add one, such as lobby.yaml (names that begin with _ or . do not count)"
    return Problem("RC102", "the inventory holds no device files", fix, Source(display(root, path), 1))


def layer_files(root: Path, inventory: Path, devices: Iterable[str]) -> tuple[set[str], set[str], list[Problem]]:
    """The layers of `inventory` that may reach the files `devices`: defaults and groups; and what is wrong with them.

    Only files inside of the inventory have any.
    """
    top = os.path.abspath(inventory)  # noqa: PTH100 - resolve() would follow links
    within = os.path.join(top, "")  # noqa: PTH118 - ten thousand times
    folders = {folder for file in devices if file.startswith(within) for folder in [os.path.dirname(file)]}  # noqa: PTH120
    if not folders:
        return set(), set(), []
    while above := {os.path.dirname(folder) for folder in folders if folder != top} - folders:  # noqa: PTH120
        folders |= above
    found: list[str | Problem] = [item for folder in folders for item in _defaults(root, top, folder)]
    defaults = {item for item in found if isinstance(item, str)}
    groups = os.path.join(top, GROUPS)  # noqa: PTH118
    if os.path.isdir(groups):  # noqa: PTH112
        found += (item if isinstance(item, Problem) else item.path for item in _walk(root, groups, top))
    problems = [item for item in found if isinstance(item, Problem)]
    return defaults, {item for item in found if isinstance(item, str)} - defaults, problems


def _defaults(root: Path, top: str, folder: str) -> Iterator[str | Problem]:
    path = os.path.join(folder, DEFAULTS)  # noqa: PTH118
    if os.path.islink(path):  # noqa: PTH114
        with os.scandir(folder) as listing:
            link = next(entry for entry in listing if entry.name == DEFAULTS)
            found = _linked(root, os.path.realpath(top), link)
            yield from (item if isinstance(item, Problem) else item.path for item in found)
    elif os.path.lexists(path):
        yield path


def _walk(root: Path, top: str, bounds: str = "") -> Iterator["os.DirEntry[str] | Problem"]:
    """Files with our suffixes below `top`, folder by folder; names that begin with `_` or `.` are passed over.

    Links may lead anywhere inside of `bounds`, which is `top` unless given.
    """
    real = os.path.realpath(bounds or top)
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield unreadable(display(root, Path(folder)), error)
            continue
        for entry in entries:
            if entry.name.startswith(("_", ".")):
                yield from _nearly(root, entry, top)
                continue
            if entry.is_symlink():
                yield from _linked(root, real, entry)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.name.lower().endswith(SUFFIXES):
                yield entry
            else:
                yield from _misspelled(root, entry)


def _linked(root: Path, real: str, entry: "os.DirEntry[str]") -> Iterator["os.DirEntry[str] | Problem"]:
    """A symlink: to a file of this inventory it is as good as one; folders are read where they are, once."""
    name = display(root, Path(entry.path))
    target = os.path.realpath(entry.path)
    shown = display(root, Path(target))
    fix = "put the file itself here"
    if os.path.isdir(target):  # noqa: PTH112 - False for a link to itself; entry.is_dir raises
        message = f"this is a symlink to the folder {shown}; folders are read where they are"
        yield Problem("RC105", message, "delete the link, or move the folder here", Source(name, 1))
    elif not entry.name.lower().endswith(SUFFIXES):
        return
    elif not os.path.exists(target):  # noqa: PTH110 - False for what cannot be reached
        yield Problem("RC105", f"this is a symlink to {shown}, which cannot be reached", fix, Source(name, 1))
    elif not Path(target).is_relative_to(real):
        yield Problem("RC105", f"this is a symlink that leaves the inventory, to {shown}", fix, Source(name, 1))
    else:
        yield entry


def _nearly(root: Path, entry: "os.DirEntry[str]", top: str) -> Iterator[Problem]:
    """A name that is passed over and was probably meant to be read."""
    name = entry.name
    if name == GROUPS and os.path.dirname(entry.path) != top:  # noqa: PTH120 - ten thousand times
        message = f"groups are only read from {GROUPS} at the top of the inventory"
        yield Problem("RC614", message, "move it there", Source(display(root, Path(entry.path)), 1))
    elif (
        name not in {DEFAULTS, GROUPS}
        and name[:1] == "_"
        and (close := get_close_matches(name, [DEFAULTS, GROUPS], 1, 0.8))
        and not os.path.lexists(os.path.join(os.path.dirname(entry.path), close[0]))  # noqa: PTH118, PTH120 - as above
    ):
        message = f"this is not read: names that begin with _ are passed over, but for {DEFAULTS} and {GROUPS}"
        yield Problem("RC614", message, f"rename it to {close[0]}", Source(display(root, Path(entry.path)), 1))


def _misspelled(root: Path, entry: "os.DirEntry[str]") -> Iterator[Problem]:
    """A name that is passed over for how it ends, and nearly ends as it should."""
    stem, ending = os.path.splitext(entry.name)  # noqa: PTH122 - a name, as all here
    meant = Path(entry.path).with_name(stem + SUFFIXES[0])
    if not ending[1:].isalpha() or ending[1] not in "yY" or os.path.lexists(meant):
        return
    if get_close_matches(ending.lower(), SUFFIXES, 1, 0.8):
        message = f"this is not read: its name ends in {ending}, and only .yaml and .yml are read"
        fix = f"rename it to {display(root, meant).rpartition('/')[2]}"
        yield Problem("RC109", message, fix, Source(display(root, entry.path), 1))


def display(root: Path, path: Path | str) -> str:
    """The name of `path` in messages: from `root` if it is below it, `/` between folders, printable whatever it is."""
    name = str(path)
    if name[:1] != "/" or "/." in name or "//" in name:
        name = os.path.abspath(name)  # noqa: PTH100 - resolve() would follow the links that messages must name
    name = name.removeprefix(f"{root}/" if root.name else "/")
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else ascii(c)[1:-1].replace("\\udc", "\\x") for c in name)


def unreadable(name: str, error: OSError) -> Problem:
    """The problem of a file or folder that the system does not let us read."""
    reason = (error.strerror or str(error)).lower()
    return Problem("RC103", f"this cannot be read: {reason}", "check its permissions", Source(name, 1))

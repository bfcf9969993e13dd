"""Files -> documents: the only place of this package that touches the disk, and never longer than it must."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.inventory.document import Document
from reconciler.inventory.yaml_core import Parsed, parse
from reconciler.model import ABSENT, Problem, Source

MAX_BYTES = 1024 * 1024
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files hold, in order of their names; what is wrong with them as files; how many there are."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    files: int


def read(root: Path, paths: Sequence[Path]) -> Reading:
    """Every inventory file among and below `paths`. A file named outright is read whatever its name."""
    problems: list[Problem] = []
    files: set[str] = set()
    for path in paths:
        found = list(_files(root, path))
        problems += (item for item in found if isinstance(item, Problem))
        files |= {os.path.abspath(item) for item in found if isinstance(item, str)}  # noqa: PTH100 - keeps links as they are
        if not found:
            name = display(root, path)
            fix = "add one, such as lobby.yaml (names that begin with _ or . do not count)"
            problems.append(Problem("RC102", "the inventory holds no device files", fix, Source(name, 1)))
    documents: list[Document] = []
    for file in sorted(files):
        path = Path(file)
        name = display(root, path)
        text = load(path, name)
        if isinstance(text, Problem):
            problems.append(text)
            continue
        parsed = parse(text, name)
        problems += parsed.problems
        if parsed.value is not ABSENT or not parsed.problems:
            documents.append(Document(name, path, parsed.value, parsed.damaged, parsed.values))
    return Reading(tuple(documents), tuple(problems), len(files))


def look_closer(path: Path, name: str) -> Parsed:
    """The file again, with all places. A file that is gone by now has none."""
    text = load(path, name)
    return parse("" if isinstance(text, Problem) else text, name, places=True)


def field_sources(path: Path, file: str, pointers: Iterable[str]) -> dict[str, Source]:
    """Where the values at `pointers` (from the top of the file) stand; what is not there has no entry."""
    places = look_closer(path, file).values
    return {pointer: Source(file, *places[pointer]) for pointer in pointers if pointer in places}


def display(root: Path, path: Path) -> str:
    """The name of `path` in messages: from `root` if it is below it, `/` between folders, printable whatever it is."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow the links that messages must name
    name = absolute.removeprefix(os.path.join(root, ""))  # noqa: PTH118 - ten thousand times
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else ascii(c)[1:-1].replace("\\udc", "\\x") for c in name)


# --- finding files ---------------------------------------------------------------------------------------------------


def _files(root: Path, path: Path) -> Iterator[str | Problem]:
    if os.path.isdir(path):  # noqa: PTH112 - False for what cannot be reached; Path.is_dir raises
        yield from _walk(root, path)
    elif os.path.lexists(path):
        yield os.fspath(path)
    else:
        name = display(root, path)
        fix = "check the path, or set `inventory` in reconciler.toml"
        yield Problem("RC101", "there is no such file or folder", fix, Source(name, 1))


def _walk(root: Path, top: Path) -> Iterator[str | Problem]:
    """Files with our suffixes below `top`; names that begin with `_` or `.` are passed over, folders likewise."""
    real = os.path.realpath(top)
    folders = [os.fspath(top)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield _unreadable(display(root, Path(folder)), error)
            continue
        for entry in entries:
            if entry.name.startswith(("_", ".")):
                continue
            if entry.is_symlink():
                yield from _linked(root, real, entry)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.name.lower().endswith(SUFFIXES):
                yield entry.path


def _linked(root: Path, real: str, entry: "os.DirEntry[str]") -> Iterator[str | Problem]:
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
        yield entry.path


# --- reading one -----------------------------------------------------------------------------------------------------


def load(path: Path, name: str) -> str | Problem:
    """The text of a file, without BOM, its lines ending in LF. Never waits for a pipe, never reads a large file."""
    try:
        data = _bytes(path, name)
    except OSError as error:
        return _unreadable(name, error)
    if isinstance(data, Problem):
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(data, name, error.start)
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n") if "\r" in text else text


def _bytes(path: Path, name: str) -> bytes | Problem:
    if not stat.S_ISREG(path.stat().st_mode):
        return _not_regular(name)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        data = os.read(descriptor, min(status.st_size, MAX_BYTES) + 1)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return _not_regular(name)
    if status.st_size > MAX_BYTES:
        message = f"the file is larger than 1 MiB ({status.st_size:,} bytes)"
        return Problem("RC106", message, "split it into several files", Source(name, 1))
    if len(data) != status.st_size:
        return Problem("RC103", "the file changed while it was read", "run the command again", Source(name, 1))
    return data


def _not_regular(name: str) -> Problem:
    message = "this is not a regular file"
    return Problem("RC104", message, "put a file with the device here, or rename it", Source(name, 1))


def _unreadable(name: str, error: OSError) -> Problem:
    reason = (error.strerror or str(error)).lower()
    return Problem("RC103", f"this cannot be read: {reason}", "check its permissions", Source(name, 1))


def _not_utf8(data: bytes, name: str, index: int) -> Problem:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Problem("RC107", "the file is UTF-16", "save it as UTF-8", Source(name, 1))
    begin = data.rfind(b"\n", 0, index) + 1
    end = data.find(b"\n", index)
    excerpt = data[begin : end if end >= 0 else len(data)].decode(errors="replace").rstrip("\r")
    source = Source(name, data.count(b"\n", 0, index) + 1, len(data[begin:index].decode().removeprefix("\ufeff")) + 1)
    return Problem("RC107", f"byte 0x{data[index]:02X} is not UTF-8", "save the file as UTF-8", source, excerpt)

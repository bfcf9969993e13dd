"""Files -> documents. With `files`, all of this package that touches the disk, and never longer than it must."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.canonical import checksum
from reconciler.inventory.document import Document, Parsed
from reconciler.inventory.files import device_files, display, layer_files, no_files, unreadable
from reconciler.model import ABSENT, Problem, Source
from reconciler.watch import SILENT, Advance, Watch

MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files hold, in order of their names; what is wrong with them as files; how many declare devices.

    `defaults` and `groups` are the layers above them: `_defaults.yaml` of their folders, and `_groups/*.yaml`.
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    files: int
    defaults: tuple[Document, ...] = ()
    groups: tuple[Document, ...] = ()

    @property
    def all(self) -> tuple[Document, ...]:
        """Every document that was read."""
        return (*self.defaults, *self.groups, *self.documents)


def read(root: Path, inventory: Path, paths: Sequence[Path], watch: Watch = SILENT) -> Reading:
    """Every inventory file among and below `paths`, and the layers of `inventory` that reach them.

    A file named outright is read as one of devices whatever its name, unless it is a layer.
    """
    problems: list[Problem] = []
    found: set[str] = set()
    for path in paths:
        items = list(device_files(root, path))
        problems += (item for item in items if isinstance(item, Problem))
        found |= {item for item in items if isinstance(item, str)}
        if not items:
            problems.append(no_files(root, path))
    defaults, groups, wrong = layer_files(root, inventory, found)
    problems += (problem for problem in wrong if problem not in problems)
    devices = found - defaults - groups
    with watch.stage("read", len(defaults) + len(groups) + len(devices), "files") as advance:
        shared = documents(root, defaults, problems, advance), documents(root, groups, problems, advance)
        own = documents(root, devices, problems, advance)
    return Reading(own, tuple(problems), len(devices), *shared)


def documents(
    root: Path, files: Iterable[str], problems: list[Problem], advance: Advance = lambda _: None
) -> tuple[Document, ...]:
    """What these files hold, in order of their names; what is wrong with them joins `problems`."""
    found: list[Document] = []
    for file in sorted(files):
        item = _document(root, file, problems)
        advance(1)
        found += [item] if item else []
    return tuple(found)


def _document(root: Path, file: str, problems: list[Problem]) -> Document | None:
    from reconciler.inventory.yaml_core import parse

    name = display(root, file)
    data = _bytes(file, name)
    if isinstance(data, Problem):
        problems.append(data)
        return None
    text = _text(data, name)
    if isinstance(text, Problem):
        problems.append(text)
        return None
    parsed = parse(text, name)
    problems += parsed.problems
    if parsed.value is ABSENT and parsed.problems:
        return None
    places = parsed.values, parsed.marks, parsed.inside
    plain = "$" not in text and "{" not in text and "\\" not in text
    return Document(name, file, parsed.value, parsed.damaged, *places, checksum(data), plain)


def contents(root: Path, files: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The bytes of each file; for one that cannot be read, some that are no text: an empty file is another thing."""
    for file in files:
        data = _bytes(file, display(root, file))
        yield file, b"\xff" if isinstance(data, Problem) else data


def look_closer(path: Path, name: str) -> Parsed:
    """The file again, with all places. A file that is gone by now has none."""
    from reconciler.inventory.yaml_core import parse

    text = load(path, name)
    return parse("" if isinstance(text, Problem) else text, name, places=True)


def load(path: Path | str, name: str) -> str | Problem:
    """The text of a file, without BOM, its lines ending in LF. Never waits for a pipe, never reads a large file."""
    data = _bytes(path, name)
    return data if isinstance(data, Problem) else _text(data, name)


def _text(data: bytes, name: str) -> str | Problem:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(data, name, error.start)
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n") if "\r" in text else text


def _bytes(path: Path | str, name: str) -> bytes | Problem:
    try:
        return _regular(path, name)
    except OSError as error:
        return unreadable(name, error)


def _regular(path: Path | str, name: str) -> bytes | Problem:
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a hundred thousand times
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


def _not_utf8(data: bytes, name: str, index: int) -> Problem:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Problem("RC107", "the file is UTF-16", "save it as UTF-8", Source(name, 1))
    begin = data.rfind(b"\n", 0, index) + 1
    end = data.find(b"\n", index)
    excerpt = data[begin : end if end >= 0 else len(data)].decode(errors="replace").rstrip("\r")
    source = Source(name, data.count(b"\n", 0, index) + 1, len(data[begin:index].decode().removeprefix("\ufeff")) + 1)
    return Problem("RC107", f"byte 0x{data[index]:02X} is not UTF-8", "save the file as UTF-8", source, excerpt)

"""What decides what a file means, beside its content: where that is another, the file is read anew.

For all files: this program and the libraries that read and check, the settings that diff goes by or that speak of
fields, the schema and the groups. For those of a folder also the defaults that lie above it.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from reconciler.canonical import checksum
from reconciler.config import Settings
from reconciler.inventory.files import layer_files
from reconciler.inventory.read import contents
from reconciler.inventory.schema import packaged_path
from reconciler.model import Problem

_LIBRARIES = {"yaml": "pyyaml", "jsonschema_rs": "jsonschema_rs", "deepdiff": "deepdiff"}
"""By the names that they are imported by: those that they are installed by."""


@dataclass(frozen=True, slots=True)
class Context:
    """`everywhere` is that of all files, `folders` that of each folder. The layers are by absolute name.

    `sums` are of the contents of the layers and of the schema, by which whoever reads them knows that they are these.
    """

    everywhere: str
    folders: Mapping[str, str]
    defaults: tuple[str, ...]
    groups: tuple[str, ...]
    problems: tuple[Problem, ...]
    sums: Mapping[str, bytes]


def context(settings: Settings, today: date, folders: Iterable[str]) -> Context:
    """The context of the files in these folders, as of `today`: a layer may say something else on another day."""
    folders = list(folders)
    defaults, groups, problems = layer_files(settings.root, settings.inventory, (f"{folder}/-" for folder in folders))
    schema = str(settings.schema or packaged_path("device"))
    texts = dict(contents(settings.root, (*defaults, *groups, schema)))
    asked = asdict(settings.on_removed), asdict(settings.lifecycle), settings.guard.protected, settings.api.nested
    parts = [
        *_program(),
        json.dumps(asked, sort_keys=True),
        texts[schema].hex(),
        *(f"{file}:{sha256(texts[file]).hexdigest()}" for file in sorted(groups)),
        today.isoformat() if any(_may_override(texts[file]) for file in (*defaults, *groups)) else "",
    ]
    everywhere = sha256(os.fsencode("\n".join(parts))).hexdigest()
    sums = {file.rpartition("/")[0]: sha256(texts[file]).hexdigest() for file in defaults}
    above = {folder: _chain(folder, sums) for folder in folders}
    read = {file: checksum(text) for file, text in texts.items()}
    return Context(everywhere, above, tuple(sorted(defaults)), tuple(sorted(groups)), tuple(problems), read)


def _chain(folder: str, sums: Mapping[str, str]) -> str:
    """The defaults of a folder and of those above it, and where they lie, in one text."""
    found = []
    while folder:
        if folder in sums:
            found.append(f"{folder}\0{sums[folder]}")
        folder = folder.rpartition("/")[0]
    return sha256(os.fsencode("\n".join(found))).hexdigest()[:32]


def _may_override(text: bytes) -> bool:
    """Whether a layer could hold an override: YAML may write any letter of the word as an escape."""
    return b"$override" in text or b"\\" in text


def _program() -> Iterator[str]:
    """Our own files, and the interpreter and libraries that could read or judge differently once they are replaced."""
    yield sys.version
    yield from sources(Path(__file__).parents[1])
    for name, distribution in _LIBRARIES.items():
        found = find_spec(name)
        for folder in (found.submodule_search_locations or ()) if found else ():
            yield release(Path(folder), distribution)


def sources(package: Path) -> Iterator[str]:
    """Name and content of every file of a package, whenever it was installed: jobs in CI install it each time."""
    for folder, folders, files in os.walk(package):
        folders.sort()
        for file in sorted(file for file in files if file.endswith(".py")):
            path = os.path.join(folder, file)  # noqa: PTH118 - nearly two hundred times
            with open(path, "rb", buffering=0) as source:  # noqa: PTH123
                yield f"{os.path.relpath(path, package)}:{sha256(source.read()).hexdigest()}"


def release(folder: Path, distribution: str) -> str:
    """The name and version that an installed library goes by; when its folder changed, if nothing there tells."""
    there = (name for name in os.listdir(folder.parent) if name.lower().startswith(f"{distribution}-"))  # noqa: PTH208
    return " ".join(sorted(there)) or f"{folder}:{folder.stat().st_mtime_ns}"

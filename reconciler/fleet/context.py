"""What decides what a file means, beside its content: where that is another, the file is read anew.

For all files: this program and the libraries that read and check, the settings that diff goes by, the schema and the
groups. For those of a folder also the defaults that lie above it.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from reconciler.config import Settings
from reconciler.inventory.files import layer_files
from reconciler.inventory.read import contents, total
from reconciler.inventory.schema import packaged_path
from reconciler.model import Problem

_LIBRARIES = ("yaml._yaml", "jsonschema_rs.jsonschema_rs", "deepdiff")


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
    parts = [
        *_program(),
        json.dumps([asdict(settings.on_removed), asdict(settings.lifecycle), settings.api.nested], sort_keys=True),
        texts[schema].hex(),
        *(f"{file}:{sha256(texts[file]).hexdigest()}" for file in sorted(groups)),
        today.isoformat() if any(_may_override(texts[file]) for file in (*defaults, *groups)) else "",
    ]
    everywhere = sha256(os.fsencode("\n".join(parts))).hexdigest()
    sums = {file.rpartition("/")[0]: sha256(texts[file]).hexdigest() for file in defaults}
    above = {folder: _chain(folder, sums) for folder in folders}
    read = {file: total(text) for file, text in texts.items()}
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


def _program() -> Iterable[str]:
    """Every file of ours, and the libraries that could read or judge differently once they are replaced."""
    package = Path(__file__).parents[1]
    for folder, _, files in os.walk(package):
        yield from (_stamp(os.path.join(folder, file)) for file in sorted(files) if file.endswith(".py"))  # noqa: PTH118
    for name in _LIBRARIES:
        found = find_spec(name.partition(".")[0])
        where = found.submodule_search_locations if found else None
        yield from (_stamp(place) for place in where or ())


def _stamp(path: str) -> str:
    status = os.stat(path)  # noqa: PTH116 - a hundred and fifty times
    return f"{path}:{status.st_mtime_ns}:{status.st_size}"

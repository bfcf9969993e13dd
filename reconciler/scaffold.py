"""What `init` puts into a repository, and how: beside what is there, never over it.

The workflows and the action are those that the reconciler's own repository runs; the other files are in templates/.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from reconciler import __version__
from reconciler.errors import ReconcilerError
from reconciler.inventory.editor_schemas import editor_schemas
from reconciler.inventory.schema import packaged_path, read_schema
from reconciler.model import Problem

Forge = Literal["github", "gitlab"]

EXAMPLE: Final = "inventory/access-points/lobby.yaml"
SCHEMA: Final = "schemas/device.schema.json"
SETTINGS: Final = "reconciler.toml"

_GITHUB: Final = (
    ".github/actions/reconciler/action.yml",
    ".github/workflows/plan.yml",
    ".github/workflows/apply.yml",
)
_OUR_STATE: Final = """
# The settings of this repository keep the state on the machine of whoever tries the example; runs keep it in a branch.
env:
  RECONCILER_STATE: git:reconciler-state
"""
_IGNORED: Final = ".reconciler/"


@dataclass(frozen=True, slots=True)
class Scaffolded:
    """The files that were written, and those that were not with the reason, in order."""

    written: tuple[str, ...]
    kept: Mapping[str, str]


def scaffold(folder: Path, forge: Forge) -> Scaffolded:
    """Write into `folder`, which is made if need be, what a fleet's repository at `forge` needs and does not have yet.

    Raises ReconcilerError for what cannot be written, or a schema of devices that cannot be read.
    """
    written: list[str] = []
    kept: dict[str, str] = _unwanted(folder)
    for name, text in _files(folder, forge).items():
        if name in kept:
            continue
        if _write(folder / name, text):
            written.append(name)
        else:
            kept[name] = "it is there already"
    if _ignore(folder / ".gitignore"):
        written.append(".gitignore")
    return Scaffolded(tuple(written), kept)


def outer_repository(folder: Path) -> Path | None:
    """The repository that `folder` is inside of, unless it is the root of one itself."""
    folder = folder.resolve()
    if (folder / ".git").exists():
        return None
    return next((parent for parent in folder.parents if (parent / ".git").exists()), None)


def _write(path: Path, text: str) -> bool:
    """Whether there was no such file yet. Its folders are made if need be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReconcilerError(f"{path.parent}: cannot be made: {error.strerror}") from None
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise ReconcilerError(f"{path}: cannot be written: {error.strerror}") from None
    return True


def _unwanted(folder: Path) -> dict[str, str]:
    """What would get in the way of what is there: an example among real devices, settings above other settings."""
    unwanted = {}
    if any(path.suffix in {".yaml", ".yml"} for path in (folder / "inventory").rglob("*")):
        unwanted[EXAMPLE] = "inventory/ holds files already"
    try:
        if "reconciler" in tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {}):
            unwanted[SETTINGS] = "pyproject.toml has [tool.reconciler], which it would replace"
    except (OSError, ValueError):
        pass
    return unwanted


def _files(folder: Path, forge: Forge) -> dict[str, str]:
    files = {SETTINGS: _template(SETTINGS), EXAMPLE: _template(EXAMPLE), **_schemas(folder / SCHEMA)}
    requirement = (
        "# What CI installs. Raise it here; `uv pip compile --generate-hashes` can pin what it needs as well.\n"
        f"zequenze-reconciler=={__version__}\n"
    )
    if forge == "github":
        files |= {name: _template(name).replace(_OUR_STATE, "") for name in _GITHUB}
        files[".github/actions/reconciler/requirements.txt"] = requirement
    else:
        files[".gitlab-ci.yml"] = _template("gitlab-ci.yml")
        files[".gitlab/reconciler/requirements.txt"] = requirement
    return files


def _schemas(path: Path) -> dict[str, str]:
    """The schema of devices, and those for editors, made from the user's own if there is one."""
    own = path if path.exists() else packaged_path("device")
    found = read_schema(own, SCHEMA)
    if not isinstance(found, dict):
        raise ReconcilerError(f"{own}: {found.message if isinstance(found, Problem) else 'not a JSON object'}")
    made = editor_schemas(found).items()
    editors = {f"schemas/{name}": json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in made}
    return {SCHEMA: own.read_text(encoding="utf-8"), **editors}


def _template(name: str) -> str:
    """In a wheel they are all inside the package; in a checkout in templates/, or where this repository uses them."""
    package = Path(__file__).parent
    places = (package / "templates", package.parent / "templates", package.parent)
    return next(place / name for place in places if (place / name).is_file()).read_text(encoding="utf-8")


def _ignore(file: Path) -> bool:
    """Whether the line that keeps a local state out of the repository had to be added."""
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if any(line.strip().strip("/") == _IGNORED.strip("/") for line in text.splitlines()):
            return False
        with file.open("a", encoding="utf-8") as stream:
            stream.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{_IGNORED}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ReconcilerError(f"{file}: {_IGNORED} cannot be added: {error}") from None
    return True

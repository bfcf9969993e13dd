"""Schemas on disk: those that come with the program, and the user's own."""

import json
from pathlib import Path
from typing import Any

from reconciler.inventory.read import load
from reconciler.model import Json, Problem, Source


def packaged_path(name: str) -> Path:
    """Where a schema of ours is: `device` in a wheel is inside the package, in a checkout it is beside it."""
    package = Path(__file__).parents[1]
    inside = package / "schemas" / f"{name}.schema.json"
    return inside if inside.exists() else package.parent / "schemas" / f"{name}.schema.json"


def packaged_schema(name: str) -> dict[str, Any]:
    """One of the schemas that come with the program: `device`, `plan`, `report` and so on."""
    document: dict[str, Any] = json.loads(packaged_path(name).read_text(encoding="utf-8"))
    return document


def read_schema(path: Path, name: str) -> Json | Problem:
    """What the schema at `path` holds, called `name` in messages; or why that cannot be said."""
    text = load(path, name)
    if isinstance(text, Problem):
        fix = "correct `schema` in the configuration, or leave it out to use the built-in one"
        return Problem("RC501", f"the schema cannot be used: {text.message}", fix, text.source)
    try:
        document: Json = json.loads(text)
    except json.JSONDecodeError as error:
        source = Source(name, error.lineno, error.colno)
        fix = "correct it here"
        return Problem("RC502", f"the schema is not JSON: {error.msg}", fix, source, text.split("\n")[error.lineno - 1])
    except (RecursionError, ValueError):
        return Problem("RC502", "the schema is nested too deeply", "flatten it", Source(name, 1))
    return document

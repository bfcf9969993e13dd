"""Which file holds the settings, and its table."""

import tomllib
from pathlib import Path
from typing import Any

from reconciler.errors import ConfigError


def nearest(directory: Path) -> Path | None:
    """The reconciler.toml, or pyproject.toml with our table, in `directory` or above it; None if there is none.

    Raises ConfigError for a pyproject.toml on the way that cannot be read: the guards may be in there.
    """
    for folder in (directory.resolve(), *directory.resolve().parents):
        if (folder / "reconciler.toml").is_file():
            return folder / "reconciler.toml"
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and _has_our_table(pyproject):
            return pyproject
    return None


def _has_our_table(pyproject: Path) -> bool:
    """One that is not TOML is ours to complain about only if it speaks of us."""
    try:
        text = pyproject.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{pyproject}: cannot be read: {error.strerror}; it may hold the settings: make it readable, or name the"
            " file that does with --config FILE"
        ) from None
    try:
        tool = tomllib.loads(text).get("tool", {})
    except (ValueError, RecursionError):
        return "[tool.reconciler" in text
    return isinstance(tool, dict) and "reconciler" in tool


def table_in(file: Path) -> tuple[dict[str, Any], str]:
    """The table in `file`, and what to call it in messages. Raises ConfigError."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    if file.name != "pyproject.toml":
        return document, str(file)
    table = document.get("tool", {})
    table = table.get("reconciler", {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.reconciler is {table!r}; expected a table")
    return table, f"{file} [tool.reconciler]"

"""Plans and documents: from files, to files, to the terminal."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from typing import Any

import click

from reconciler.cli import Globals
from reconciler.cli.streams import Stdout
from reconciler.errors import PlanFileError, ReconcilerError
from reconciler.model import Json, Plan


def print_plan(given: Globals, plan: Plan, form: str, *, full: bool, refusals: bool = True) -> None:
    """The plan on stdout. Without `refusals`, its text leaves it to somebody else to explain them."""
    if form == "json":
        from reconciler.plan.plan_file import to_json

        click.echo(dumped(to_json(plan)))
    elif form == "markdown":
        from reconciler.report.markdown import plan_markdown

        click.echo(plan_markdown(plan, full=full))
    else:
        from reconciler.report.text import plan_text

        click.echo(plan_text(plan, full=full, refusals=refusals), color=given.color)


def print_commands(text: str) -> None:
    """Workflow commands on stdout, past what keeps a runner from finding any."""
    if isinstance(sys.stdout, Stdout):
        sys.stdout.command(f"{text}\n" if text else "")
    elif text:
        click.echo(text)


def read_plan(file: Path) -> Plan:
    """The plan in `file`. Raises PlanFileError naming it."""
    from reconciler.agreement import MAX_PLAN_BYTES, plan_from

    try:
        large = file.stat().st_size > MAX_PLAN_BYTES
        document = file.read_bytes() if file.is_file() and not large else b""
    except OSError as error:
        raise PlanFileError(f"{file}: {error.strerror}; make one with: reconciler plan --out FILE") from None
    if large:
        raise PlanFileError(f"{file}: too large for a plan")
    try:
        return plan_from(document)
    except PlanFileError as error:
        raise PlanFileError(f"{file}: {error}") from None


def write_json(file: Path, document: Mapping[str, Json]) -> None:
    """Put the document into `file`, whole or not at all; only its owner may read it."""
    write_text(file, dumped(document) + "\n", mode=0o600)


def write_text(file: Path, text: str, *, mode: int = 0o644) -> None:
    """Put the text into `file`, whole or not at all."""
    file = file.resolve()
    check_replaceable(file)
    draft = file.with_name(f".{file.name}.{token_hex(4)}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(mode)
        draft.replace(file)
    except OSError as error:
        raise ReconcilerError(f"{file}: cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            draft.unlink()


def check_replaceable(file: Path) -> None:
    """Raise ReconcilerError if `write_json` could not put a document there."""
    file = file.resolve()
    if file.exists() and not file.is_file():
        raise ReconcilerError(f"{file}: not a file that could be replaced; name another")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise ReconcilerError(f"{file}: the folder is not there, or may not be written to")


def save_recovery(folder: Path, run: str, document: Mapping[str, Json]) -> str:
    """Put a recovery document into `folder`, or where temporary files go if that is what failed; returns what to say.

    Never raises: those answers are unknown then, and are asked for again.
    """
    tried = []
    for place in (folder, *_temporary()):
        file = place / f"recovery-{run}.json"
        try:
            write_json(file, document)
        except ReconcilerError as error:
            tried.append(str(error))
            continue
        return f"answers that the state could not take are in {file}; when it can: reconciler state recover {file}"
    return f"answers that the state could not take could not be saved either: {'; '.join(tried)}"


def _temporary() -> list[Path]:
    try:
        return [Path(gettempdir())]
    except OSError:  # no folder may be written to
        return []


def read_json(file: Path, schema: str) -> Any:  # noqa: ANN401 - whatever the schema allows
    """The document in `file`, which fits the packaged schema of that name. Raises ReconcilerError naming the file."""
    import jsonschema_rs

    from reconciler.inventory.schema import packaged_schema

    try:
        document = json.loads(file.read_bytes())
        jsonschema_rs.Draft202012Validator(packaged_schema(schema), validate_formats=True).validate(document)
    except OSError as error:
        raise ReconcilerError(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ReconcilerError(f"{file}: not a {schema} file") from None
    return document


def dumped(document: Mapping[str, Json]) -> str:
    """JSON for people and programs: indented, and ASCII, so that no terminal can be hurt by it."""
    return json.dumps(document, indent=2, ensure_ascii=True)

"""`reconciler validate`."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import Globals, no_cache_option, pass_globals

if TYPE_CHECKING:
    from reconciler.config import Settings
    from reconciler.fleet.check import Checked
    from reconciler.watch import Watch


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]…")
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="For people, for programs, or as annotations on a pull request.",
)
@no_cache_option
@pass_globals
def validate(context: Globals, paths: tuple[Path, ...], output: str, *, no_cache: bool) -> int:
    """Check every inventory file; print all problems, each with its place and its fix.

    With PATHs, only these files and folders are read; devices elsewhere are not compared with them.

    Exit codes: 0 all files are valid · 1 there are problems.
    """
    from reconciler.cli.output import print_commands
    from reconciler.cli.watching import watching
    from reconciler.forge.annotate import annotations
    from reconciler.report.problems import document, text, valid, warnings

    settings = context.settings(cache=not no_cache)
    with watching(context) as watch:
        result = _part(settings, paths, watch) if paths else _whole(settings, context, watch)
    if output == "json":
        found = document(result.problems, result.warnings, devices=result.devices, files=result.files)
        click.echo(json.dumps(found, indent=2))
        return 1 if result.problems else 0
    if output == "github":
        print_commands(annotations(result.warnings, level="warning"))
        print_commands(annotations(result.problems))
    elif result.warnings:
        click.echo(warnings(result.warnings), err=True)
    if not result.problems:
        click.echo(valid(result.devices, result.files, result.layers))
    elif output == "text":
        click.echo(text(result.problems))
    return 1 if result.problems else 0


def _whole(settings: "Settings", context: Globals, watch: "Watch") -> "Checked":
    from reconciler.fleet.check import check
    from reconciler.fleet.parts import Scope

    return check(Scope(settings, datetime.now(UTC).date(), time.time_ns(), watch, context.trace))


def _part(settings: "Settings", paths: Sequence[Path], watch: "Watch") -> "Checked":
    from reconciler.fleet.check import Checked
    from reconciler.reconcile import validate

    found = validate(settings, [path.absolute() for path in paths], watch=watch)
    return Checked(len(found.desired.devices), found.files, found.layers, found.problems, found.warnings)

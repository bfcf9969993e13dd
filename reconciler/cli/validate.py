"""`reconciler validate`."""

import json
from pathlib import Path

import click

from reconciler.cli import Globals, pass_globals


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
@pass_globals
def validate(context: Globals, paths: tuple[Path, ...], output: str) -> int:
    """Check every inventory file; print all problems, each with its place and its fix.

    With PATHs, only these files and folders are read; devices elsewhere are not compared with them.

    Exit codes: 0 all files are valid · 1 there are problems.
    """
    from reconciler import reconcile
    from reconciler.cli.output import print_commands
    from reconciler.cli.watching import watching
    from reconciler.forge.annotate import annotations
    from reconciler.report.problems import document, text, valid, warnings

    settings = context.settings()
    with watching(context) as watch:
        result = reconcile.validate(settings, [path.absolute() for path in paths], watch=watch)
    devices = len(result.desired.devices)
    if output == "json":
        found = document(result.problems, result.warnings, devices=devices, files=result.files)
        click.echo(json.dumps(found, indent=2))
        return 1 if result.problems else 0
    if output == "github":
        print_commands(annotations(result.warnings, level="warning"))
        print_commands(annotations(result.problems))
    elif result.warnings:
        click.echo(warnings(result.warnings), err=True)
    if not result.problems:
        click.echo(valid(devices, result.files, result.layers))
    elif output == "text":
        click.echo(text(result.problems))
    return 1 if result.problems else 0

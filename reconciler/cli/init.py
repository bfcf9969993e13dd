"""`reconciler init`."""

from pathlib import Path

import click

from reconciler.cli import Globals, pass_globals
from reconciler.scaffold import Forge


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=".", metavar="[DIR]")
@click.option(
    "--forge",
    type=click.Choice(["github", "gitlab"]),
    default="github",
    show_default=True,
    help="Whose workflows to write.",
)
@pass_globals
def init(given: Globals, directory: Path, forge: Forge) -> int:
    """Put settings, schemas, an example device and workflows into a repository, in DIR or here.

    What is there already is left as it is, and named. Prints what only an administrator of the repository can set.
    """
    from reconciler.report.scaffolded import scaffolded
    from reconciler.scaffold import outer_repository, scaffold

    done = scaffold(directory, forge)
    click.echo(scaffolded(done.written, done.kept, forge))
    if outer := outer_repository(directory):
        given.warn(
            f"{outer} is the repository; workflows are read at its root and nowhere else: reconciler init {outer}"
        )
    return 0

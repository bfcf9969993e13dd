"""`reconciler show`."""

from pathlib import Path

import click

from reconciler.cli import Globals, pass_globals


@click.command()
@click.argument("planfile", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", help="How to print it."
)
@click.option("--full", is_flag=True, help="Name every device, however many change alike.")
@pass_globals
def show(given: Globals, *, planfile: Path, form: str, full: bool) -> None:
    """Print the plan that PLANFILE holds."""
    from reconciler.cli.output import print_plan, read_plan

    print_plan(given, read_plan(planfile), form, full=full)

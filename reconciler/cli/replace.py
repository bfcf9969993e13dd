"""`reconciler replace`."""

import click

from reconciler.cli import Globals, pass_globals


@click.command()
@click.argument("old")
@click.argument("new")
@pass_globals
def replace(given: Globals, *, old: str, new: str) -> int:
    """Declare the device NEW where the inventory declares OLD, which it replaces (RMA).

    Changes the serial number in OLD's file and writes `$replaces: OLD` below it; everything else in the file stays as
    it is. The next plan shows one replacement: NEW gets all fields, OLD is forgotten, and NEW carries on its history.
    """
    from reconciler.bookkeeping import snapshot
    from reconciler.cli.output import write_text
    from reconciler.desired import replacement, validate
    from reconciler.errors import StateError
    from reconciler.report.problems import text

    settings = given.settings()
    try:
        applied = {str(serial) for serial in snapshot(settings).devices}
    except StateError:  # kept where this machine cannot reach it: then the file alone decides
        applied = set()
    found = replacement(settings, old, new, applied=applied)
    write_text(found.file, found.text, mode=found.file.stat().st_mode & 0o777)
    click.echo(f"{found.source.file}:{found.source.line}: {new} replaces {old}.")
    left = validate(settings).problems
    if left:
        click.echo(f"The file was changed, and other lines still speak of {old}:\n\n{text(left)}", err=True)
        return 1
    given.say("See what apply would send: reconciler plan")
    return 0

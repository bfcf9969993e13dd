"""`reconciler plan`."""

import shlex
from pathlib import Path

import click

from reconciler.cli import TARGET_HELP, Globals, no_cache_option, pass_globals


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Save the plan for apply.")
@click.option("--target", "targets", multiple=True, metavar="PATTERN", help=TARGET_HELP)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", help="How to print it."
)
@click.option("--full", is_flag=True, help="Name every device, however many change alike.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 if there are changes.")
@click.option("--resend", is_flag=True, help="Also send again what the server did not take as it was sent.")
@no_cache_option
@pass_globals
def plan(
    given: Globals,
    *,
    out: Path | None,
    targets: tuple[str, ...],
    form: str,
    full: bool,
    detailed_exitcode: bool,
    resend: bool,
    no_cache: bool,
) -> int:
    """Show what apply would change, compared with what was last applied.

    Needs no token, asks no API and changes nothing. A state in git is fetched; without the network, the last one
    fetched is taken. Files that did not move since the last plan, and whose devices are as declared, are not read.
    """
    from reconciler import reconcile
    from reconciler.cli.output import print_plan, write_json
    from reconciler.cli.watching import watching
    from reconciler.plan.plan_file import to_json

    settings = given.settings(cache=not no_cache)
    with watching(given) as watch:
        made = reconcile.plan(
            settings,
            targets=targets,
            resend=resend,
            warn=given.warnings,
            note=given.warn,
            beside=given.say,
            trace=given.trace,
            watch=watch,
        )
    with watch.stage("report"):
        if out:
            write_json(out, to_json(made))
        print_plan(given, made, form, full=full)
    if made.changes and not made.refusals and form == "text":
        again = (
            [str(out)] if out else [*(f"--target={target}" for target in targets), *(["--resend"] if resend else [])]
        )
        given.say(f"Carry it out with: {shlex.join([*given.command, 'apply', *again])}")
    return 2 if made.changes and detailed_exitcode else 0

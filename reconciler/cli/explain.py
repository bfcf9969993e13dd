"""`reconciler explain`."""

import os

import click

from reconciler.cli import Globals, pass_globals


@click.command()
@click.argument("serial")
@click.argument("path", required=False, default="", metavar="[FIELD.PATH]")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)
@pass_globals
def explain(given: Globals, serial: str, path: str, form: str) -> None:
    """Show where the values of a device come from: file, line, what that shadows, and since when.

    With FIELD.PATH, such as configuration.channel, the whole story of that value or of all inside: every layer that
    speaks of it, who wrote the line, what was last applied by which run, and what the plan would send.

    Exit codes: 0 · 1 the inventory or the state has problems · 64 there is no such device or value.
    """
    from reconciler.provenance import explain as explained

    found = explained(given.settings(), serial, path, environ=os.environ, note=given.warn)
    if form == "json":
        from reconciler.cli.output import dumped
        from reconciler.report.explain_json import explain_json

        click.echo(dumped(explain_json(found)))
    else:
        from reconciler.report.explain import explain_text

        click.echo(explain_text(found), color=given.color)

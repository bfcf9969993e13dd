"""`reconciler state`: look at what was last applied, forget a device, free a lock."""

import os
import sys
from pathlib import Path

import click

from reconciler.cli import Globals, pass_globals
from reconciler.errors import Usage
from reconciler.model import DeviceState, Serial

text_or_json = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the result."
)


@click.group()
def state() -> None:
    """Look at what was last applied; forget a device; free a lock."""


@state.command("list")
@text_or_json
@pass_globals
def list_(options: Globals, form: str) -> None:
    """Print every device with the number of its fields and how it stands.

    \b
    applied      the server confirmed every value
    frozen       the same, and the lifecycle lets it change no more: decommissioned
    divergent    the server holds something else than was sent
    unconfirmed  the server accepted some field without showing it
    unknown      a PUT was never answered: the next plan sends it again
    """  # noqa: D301 - \b is how click is told to keep the lines as they are
    from reconciler import bookkeeping
    from reconciler.report.journal import list_json, list_text

    settings = options.settings()
    snapshot = bookkeeping.snapshot(settings, options.warn)
    if form == "json":
        click.echo(list_json(snapshot, bookkeeping.frozen(settings)))
    elif snapshot.devices:
        click.echo(list_text(snapshot, bookkeeping.frozen(settings)))
    elif snapshot.lineage:
        click.echo(f"No devices in the state ({settings.state}).", err=True)
    else:
        click.echo(f"No devices: {bookkeeping.missing(settings)}.", err=True)


@state.command()
@click.argument("serial")
@text_or_json
@pass_globals
def show(options: Globals, serial: str, form: str) -> None:
    """Print one device as it was last applied."""
    from reconciler import bookkeeping
    from reconciler.conformance import marked
    from reconciler.report.journal import show_json, show_text

    settings = options.settings()
    snapshot, device = bookkeeping.device(settings, serial, options.warn)
    hidden = marked(settings).sensitive
    if form == "json":
        click.echo(show_json(Serial(serial), device, snapshot, hidden, bookkeeping.frozen(settings)))
    else:
        click.echo(show_text(Serial(serial), device, hidden, bookkeeping.frozen(settings)))


@state.command()
@click.argument("serial")
@click.option("--auto-approve", is_flag=True, help="Do not ask. Needed without a terminal.")
@pass_globals
def forget(options: Globals, serial: str, *, auto_approve: bool) -> None:
    """Remove one device from the state. Nothing is sent: the device keeps its values.

    If the inventory still declares it, the next plan adopts it again, which sends every field. If not, it is no longer
    managed.
    """
    from reconciler import bookkeeping

    settings = options.settings()
    _, device = bookkeeping.device(settings, serial)
    if not auto_approve:
        if not sys.stdin.isatty():
            raise Usage(f"there is no terminal to ask on; to forget {serial}, add --auto-approve")
        _explain(serial, device)
        click.confirm("Forget it?", abort=True, err=True)
    bookkeeping.forget(settings, serial, os.environ, options.say)
    click.echo(f"Forgot {serial}. The next plan adopts it again, or nothing manages it any more.", err=True)


@state.command()
@click.argument("lease", metavar="ID")
@click.option("--force", is_flag=True, help="Even if the lease is live: its run then fails at its next write.")
@pass_globals
def unlock(options: Globals, lease: str, *, force: bool) -> None:
    """Take a lease away from a run that is gone. The ID is in the message that says who holds it."""
    from reconciler import bookkeeping
    from reconciler.printable import printable

    taken = bookkeeping.unlock(options.settings(), lease, os.environ, force=force)
    click.echo(printable(f"Unlocked: lease {taken.id} of {taken.holder.by} was taken away."), err=True)


@state.command()
@click.argument("file", type=click.Path(path_type=Path))
@pass_globals
def recover(options: Globals, file: Path) -> None:
    """Record the answers that an apply saved in FILE because the state could not take them.

    Only answers to requests that are still unknown are taken, so that doing it late or twice is safe.
    """
    from reconciler import bookkeeping
    from reconciler.cli.output import read_json

    document = read_json(file, "recovery")
    taken, known = bookkeeping.recover(options.settings(), document, os.environ, options.say)
    click.echo(f"Recovered {taken} of {known} answers; the others were known already.", err=True)


def _explain(serial: str, device: DeviceState) -> None:
    click.echo(
        f"{serial} has {len(device.fields)} fields in the state. Forgetting it sends nothing: the device keeps them.\n"
        "If the inventory declares it, the next plan adopts it again; otherwise nothing manages it any more.",
        err=True,
    )
    if device.unknown:
        click.echo("A PUT to it was never answered; that, too, is forgotten.", err=True)

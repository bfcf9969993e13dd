"""`reconciler state`: look at what was last applied, forget a device, free a lock."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from reconciler.cli import Globals, pass_globals
from reconciler.config import Settings
from reconciler.errors import InventoryError, Locked, StateError, Usage
from reconciler.model import DeviceState, Draft, EntryKind, Problem, Serial, Snapshot

LOCK_TIMEOUT = 10.0

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
    divergent    the server holds something else than was sent
    unconfirmed  the server accepted some field without showing it
    unknown      a PUT was never answered: the next plan sends it again
    """  # noqa: D301 - \b is how click is told to keep the lines as they are
    from reconciler.report.journal import list_json, list_text

    settings = options.settings()
    snapshot = read(settings, options.warn)
    if form == "json":
        click.echo(list_json(snapshot))
    elif snapshot.devices:
        click.echo(list_text(snapshot))
    else:
        click.echo(f"No devices in the state ({settings.state}).", err=True)


@state.command()
@click.argument("serial")
@text_or_json
@pass_globals
def show(options: Globals, serial: str, form: str) -> None:
    """Print one device as it was last applied."""
    from reconciler.report.journal import show_json, show_text

    settings = options.settings()
    snapshot = read(settings, options.warn)
    device = _device(snapshot, serial)
    if form == "json":
        click.echo(show_json(Serial(serial), device, snapshot, hidden(settings)))
    else:
        click.echo(show_text(Serial(serial), device, hidden(settings)))


@state.command()
@click.argument("serial")
@click.option("--auto-approve", is_flag=True, help="Do not ask. Needed without a terminal.")
@pass_globals
def forget(options: Globals, serial: str, *, auto_approve: bool) -> None:
    """Remove one device from the state. Nothing is sent: the device keeps its values.

    If the inventory still declares it, the next plan adopts it again, which sends every field. If not, it is no longer
    managed.
    """
    from reconciler.state.holder import this_process
    from reconciler.state.lease import hold
    from reconciler.state.open import open_state
    from reconciler.timestamp import stamp

    settings = options.settings()
    device = _device(read(settings), serial)
    if not auto_approve:
        if not sys.stdin.isatty():
            raise Usage(f"there is no terminal to ask on; to forget {serial}, add --auto-approve")
        _explain(serial, device)
        click.confirm("Forget it?", abort=True, err=True)
    backend, me = open_state(settings.state, settings.root), this_process(os.environ)
    with hold(backend, me, timeout=LOCK_TIMEOUT, waiting=_waiting) as held:
        draft = Draft(EntryKind.FORGOTTEN, stamp(time.time()), run="", serial=Serial(serial), data={"by": me.by})
        backend.append(held.lease, [draft])
    click.echo(f"Forgot {serial}. The next plan adopts it again, or nothing manages it any more.", err=True)


@state.command()
@click.argument("lease", metavar="ID")
@click.option("--force", is_flag=True, help="Even if the lease is live: its run then fails at its next write.")
@pass_globals
def unlock(options: Globals, lease: str, *, force: bool) -> None:
    """Take a lease away from a run that is gone. The ID is in the message that says who holds it."""
    from reconciler.printable import printable
    from reconciler.state.holder import this_process
    from reconciler.state.open import open_state
    from reconciler.timestamp import stamp

    settings = options.settings()
    backend = open_state(settings.state, settings.root)
    by = this_process(os.environ).by
    taken = backend.unlock(lease, by=by, at=stamp(time.time()), force=force)
    click.echo(printable(f"Unlocked: lease {taken.id} of {taken.holder.by} was taken away."), err=True)


@state.command()
@click.argument("file", type=click.Path(path_type=Path))
@pass_globals
def recover(options: Globals, file: Path) -> None:
    """Record the answers that an apply saved in FILE because the state could not take them.

    Only answers to requests that are still unknown are taken, so that doing it late or twice is safe.
    """
    from reconciler.cli.output import read_json
    from reconciler.state.holder import this_process
    from reconciler.state.lease import hold
    from reconciler.state.open import open_state
    from reconciler.state.recovery import awaited, from_json

    settings = options.settings()
    document = read_json(file, "recovery")
    drafts = from_json(document, lineage=read(settings).lineage)
    backend = open_state(settings.state, settings.root)
    with hold(backend, this_process(os.environ), timeout=LOCK_TIMEOUT, waiting=_waiting) as held:
        taken = awaited(drafts, backend.read().devices)
        if taken:
            backend.append(held.lease, taken)
    click.echo(f"Recovered {len(taken)} of {len(drafts)} answers; the others were known already.", err=True)


def read(settings: Settings, note: Callable[[str], None] | None = None) -> Snapshot:
    """The snapshot, of the lineage that the settings name. `note` is told if it is only the last one fetched."""
    from reconciler.state.open import check_lineage, open_state

    snapshot = open_state(settings.state, settings.root, note=note).read()
    check_lineage(snapshot, settings.lineage, settings.state)
    return snapshot


def hidden(settings: Settings) -> Callable[[str], bool]:
    """Which JSON Pointers are secrets by the schema. Without a schema to say so, nothing may be shown."""
    from reconciler.inventory.schema import packaged_path, read_schema
    from reconciler.plan.marks import marks

    path = settings.schema or packaged_path("device")
    found = read_schema(path, str(path))
    if isinstance(found, Problem):
        raise InventoryError([found])
    return marks(found if isinstance(found, dict) else {}).sensitive


def _device(snapshot: Snapshot, serial: str) -> DeviceState:
    import difflib

    device = snapshot.devices.get(Serial(serial))
    if device is None:
        close = difflib.get_close_matches(serial, snapshot.devices, 1)
        hint = f"did you mean {close[0]}?" if close else "`reconciler state list` shows those that are"
        raise StateError(f"{serial} is not in the state; {hint}")
    return device


def _explain(serial: str, device: DeviceState) -> None:
    click.echo(
        f"{serial} has {len(device.fields)} fields in the state. Forgetting it sends nothing: the device keeps them.\n"
        "If the inventory declares it, the next plan adopts it again; otherwise nothing manages it any more.",
        err=True,
    )
    if device.unknown:
        click.echo("A PUT to it was never answered; that, too, is forgotten.", err=True)


def _waiting(error: Locked) -> None:
    click.echo(f"waiting up to {LOCK_TIMEOUT:.0f} s: {error}", err=True)

"""`reconciler sandbox`."""

import errno
import os
import shlex
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import Globals, pass_globals
from reconciler.errors import InventoryError, ReconcilerError, Usage
from reconciler.model import Nested
from reconciler.sandbox import require_extra
from reconciler.sandbox.faults import CONDITIONS, FORM
from reconciler.sandbox.kinds import FORMS, KINDS, Kind

if TYPE_CHECKING:
    from reconciler.model import Serial
    from reconciler.sandbox.received import Received
    from reconciler.sandbox.server import Sandbox

_STOP = {signal.SIGINT, signal.SIGTERM}


class _WithFaults(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section(f"Faults, each as {FORM}"):
            formatter.write_dl([(_form(name, kind), kind.says) for name, kind in KINDS.items()])
        with formatter.section("Values"):
            formatter.write_dl([(form.name, form.says) for form in FORMS])
        with formatter.section("Conditions"):
            formatter.write_dl(list(CONDITIONS.items()))


def _form(name: str, kind: Kind) -> str:
    if not kind.takes:
        return name
    return f"{name}={kind.takes.name}" if kind.default is None else f"{name}[={kind.takes.name}]"


@click.command(cls=_WithFaults, context_settings={"show_default": True})
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--token", help="The token that callers need.  [default: RECONCILER_TOKEN, or else sandbox-token]")
@click.option(
    "--seed-inventory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Know the devices of this inventory, as blank ones.",
)
@click.option(
    "--nested",
    type=click.Choice(["replace", "merge"]),
    default="replace",
    help="What a PUT does to a nested object such as configuration.",
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the devices in this SQLite file.  [default: in memory]",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="SPEC",
    help='Go wrong on purpose, for example "drop-after-commit:30%,seed=7"; see below. Repeatable, the first outermost.',
)
@pass_globals
def sandbox(
    options: Globals,
    *,
    port: int,
    token: str | None,
    seed_inventory: Path | None,
    nested: Nested,
    database: Path | None,
    faults: tuple[str, ...],
) -> None:
    """Run a simulated device API on this machine, until Ctrl-C.

    It behaves as the vendor's API document says, and only ever listens on 127.0.0.1. Requests are shown as they come;
    GET /_sandbox/requests returns them as JSON, DELETE /_sandbox/requests forgets them.

    Faults strike PUTs of devices. PUT /_sandbox/faults with a JSON list of them replaces them while it runs, DELETE
    /_sandbox/faults ends them; the log of requests says what struck, and whether the device was changed.
    """
    require_extra()
    from reconciler.sandbox.server import DEFAULT_TOKEN, running

    inherited = os.environ.get("RECONCILER_TOKEN") if token is None else None
    token = inherited or (DEFAULT_TOKEN if token is None else token)
    if not token or not token.isascii() or not token.isprintable():
        raise Usage("the token is empty or holds characters that no HTTP header can carry; give another with --token")
    serials = _serials(options, seed_inventory) if seed_inventory else ()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)  # here and in the server's thread: sigwait() below takes them
    try:
        with running(
            port=port,
            token=token,
            seed=serials,
            nested=nested,
            database=database,
            faults=faults,
            show=_shower(options),
        ) as server:
            _announce(server, "" if inherited else token)
            signal.sigwait(_STOP)
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        why = os.strerror(error.errno)
        raise ReconcilerError(f"cannot listen on 127.0.0.1:{port}: {why}; try --port 0") from error
    except sqlite3.Error as error:
        raise ReconcilerError(f"{database}: cannot be used as a database: {error}; name another file") from error


def _serials(options: Globals, inventory: Path) -> "tuple[Serial, ...]":
    from reconciler.reconcile import validate

    found = validate(replace(options.settings(), inventory=inventory.resolve()))
    if found.problems:
        raise InventoryError(found.problems)
    return tuple(found.desired.devices)


def _shower(options: Globals) -> "Callable[[Received], None]":
    def show(received: "Received") -> None:
        if options.verbosity >= 0:
            click.echo(str(received), err=True)

    return show


def _announce(server: "Sandbox", token: str) -> None:
    click.echo(f"A sandbox with {len(server.devices())} devices is on {server.base_url} until Ctrl-C.\n")
    click.echo(f"  export RECONCILER_BASE_URL={server.base_url}")
    click.echo(f"  export RECONCILER_TOKEN={shlex.quote(token)}" if token else "  # RECONCILER_TOKEN is set already")
    click.echo()

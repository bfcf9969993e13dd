"""`reconciler audit`: read the journal, or check that nobody altered it."""

from datetime import UTC, datetime

import click

from reconciler.cli import Globals, pass_globals
from reconciler.cli.state import hidden, text_or_json
from reconciler.config import Settings
from reconciler.errors import StateMissing
from reconciler.model import Entry, EntryKind
from reconciler.state.backend import Backend, Head


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A date or a time as ISO 8601 writes it, in the spelling of the journal."""
    from reconciler.timestamp import stamp

    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return stamp((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        message = f"{value!r} is not a time; write 2025-01-31 or 2025-01-31T09:00Z"
        raise click.BadParameter(message, ctx, param) from error


@click.group()
def audit() -> None:
    """Read the journal, or check that nobody altered it."""


@audit.command()
@click.option("--serial", metavar="S", help="Only what is about this device.")
@click.option("--run", metavar="R", help="Only what this run did.")
@click.option(
    "--since", metavar="T", callback=_time, help="Only from this date or time on (UTC unless it says otherwise)."
)
@text_or_json
@pass_globals
def log(options: Globals, serial: str | None, run: str | None, since: str | None, form: str) -> None:
    """Print the journal, oldest first: one line an entry. Times are UTC."""
    from reconciler.report.journal import entry_json, entry_text

    settings = options.settings()
    journal, _ = _journal(settings, required=False)
    secret = hidden(settings)
    line = entry_json if form == "json" else entry_text
    runs: dict[str, Entry] = {}
    for entry in journal.entries():
        if entry.kind is EntryKind.RUN:
            runs[entry.run] = entry
        asked = (serial in {None, entry.serial}) and (run in {None, entry.run}) and (since is None or entry.at >= since)
        if asked:
            click.echo(line(entry, secret, runs.get(entry.run)))


@audit.command()
@pass_globals
def verify(options: Globals) -> None:
    """Check the whole hash chain, and that the state is what the journal says."""
    journal, _ = _journal(options.settings())
    count = journal.verify()
    click.echo(f"{count:,} entr{'y' if count == 1 else 'ies'}, chain intact, snapshot matches")


@audit.command()
@pass_globals
def head(options: Globals) -> None:
    """Print number and hash of the last entry.

    Whoever can write the state can forge a whole chain. Store the head where they cannot write: a later journal must
    hold that entry with that hash.
    """
    _, found = _journal(options.settings())
    click.echo(f"{found.seq} {found.hash}")


def _journal(settings: Settings, *, required: bool = True) -> tuple[Backend, Head]:
    """The journal and where it stands, of the lineage that the settings name."""
    from reconciler.state.open import check_lineage, open_state

    backend = open_state(settings.state, settings.root)
    found = backend.head()
    check_lineage(found, settings.lineage, settings.state)
    if required and not found.lineage:
        raise StateMissing(f"there is no state at {settings.state} yet; the first apply creates it")
    return backend, found

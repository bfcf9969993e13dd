"""`reconciler audit`: read the journal, or check that nobody altered it."""

from datetime import UTC, datetime

import click

from reconciler.cli import Globals, pass_globals
from reconciler.cli.state import text_or_json
from reconciler.model import Entry, EntryKind


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
    from reconciler import bookkeeping
    from reconciler.conformance import marked
    from reconciler.report.journal import entry_json, entry_text

    settings = options.settings()
    secret = marked(settings).sensitive
    line = entry_json if form == "json" else entry_text
    runs: dict[str, Entry] = {}
    for entry in bookkeeping.journal(settings):
        if entry.kind is EntryKind.RUN:
            runs[entry.run] = entry
        asked = (serial in {None, entry.serial}) and (run in {None, entry.run}) and (since is None or entry.at >= since)
        if asked:
            click.echo(line(entry, secret, runs.get(entry.run)))


@audit.command()
@pass_globals
def verify(options: Globals) -> None:
    """Check the whole hash chain, and that the state is what the journal says."""
    from reconciler import bookkeeping

    count = bookkeeping.verify(options.settings())
    click.echo(f"{count:,} entr{'y' if count == 1 else 'ies'}, chain intact, snapshot matches")


@audit.command()
@pass_globals
def head(options: Globals) -> None:
    """Print number and hash of the last entry.

    Whoever can write the state can forge a whole chain. Store the head where they cannot write: a later journal must
    hold that entry with that hash.
    """
    from reconciler import bookkeeping

    found = bookkeeping.head(options.settings())
    click.echo(f"{found.seq} {found.hash}")

"""A SQLite state with forty devices in it."""

from pathlib import Path

from journal_drafts import applied, holder, intent

from reconciler.model import Lease, Serial
from reconciler.state.sqlite import SqliteBackend

DEVICES = [Serial(f"AP-{number:04}") for number in range(1, 41)]


def fleet_at(file: Path) -> SqliteBackend:
    """Forty devices, each with an intent and an outcome."""
    backend = SqliteBackend(file)
    lease = hold(backend)
    backend.append(
        lease, [entry for serial in DEVICES for entry in (intent(serial, name=f"{serial}"), applied(serial))]
    )
    backend.release(lease)
    return backend


def hold(backend: SqliteBackend) -> Lease:
    return backend.acquire(holder(), ttl=9000)

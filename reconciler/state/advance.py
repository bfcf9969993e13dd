"""What an append does to a state, the same for every backend: new entries, a new head, and devices that moved. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from reconciler.model import DeviceState, Draft, Entry, EntryKind, Serial
from reconciler.state import chain
from reconciler.state.backend import Head
from reconciler.state.fold import step


@dataclass(frozen=True, slots=True)
class Advance:
    """A state after an append. `devices` are those that the entries are about; None: gone."""

    head: Head
    entries: tuple[Entry, ...]
    devices: Mapping[Serial, DeviceState | None]


def advance(head: Head, drafts: Iterable[Draft], device: Callable[[Serial], DeviceState | None]) -> Advance:
    """The state after `drafts`; `device` tells how one stood before, and is asked once for each.

    Raises ValueError for entries that cannot follow, and for NaN and infinities.
    """
    entries = tuple(chain.link(drafts, head.seq, head.hash))
    devices: dict[Serial, DeviceState | None] = {}
    for entry in entries:
        if entry.serial is not None:
            before = devices[entry.serial] if entry.serial in devices else device(entry.serial)
            devices[entry.serial] = step(before, entry)
    seq, last = (entries[-1].seq, entries[-1].hash) if entries else (head.seq, head.hash)
    servers = [entry.data["server"] for entry in entries if entry.kind is EntryKind.RUN and "server" in entry.data]
    server = str(servers[-1]) if servers else head.server
    return Advance(Head(head.lineage, head.revision + 1, seq, last, server), entries, devices)

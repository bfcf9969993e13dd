"""Whether a journal is whole, and the snapshot its fold: the same for every backend."""

from collections.abc import Iterable, Mapping

from reconciler.canonical import canonical
from reconciler.change_json import device_to_json
from reconciler.errors import StateCorrupt
from reconciler.model import DeviceState, Entry, Serial
from reconciler.state import chain
from reconciler.state.fold import step


def damage(entries: Iterable[Entry], devices: Mapping[Serial, DeviceState], *, seq: int, last: str) -> str | None:
    """The first thing that is wrong with a state that was written up to entry `seq` with the hash `last`; or None.

    `devices` is the snapshot as of that entry. Later entries, written meanwhile, are left for the next check.
    """
    at, previous = 0, chain.GENESIS
    folded: dict[Serial, DeviceState] = {}
    for entry in entries:
        if entry.seq > seq:
            break
        wrong = chain.damage(entry, at, previous)
        if wrong:
            return wrong
        if entry.serial is not None:
            try:
                state = step(folded.pop(entry.serial, None), entry)
            except ValueError as error:
                return f"entry {entry.seq} cannot be what happened: {error}"
            if state:
                folded[entry.serial] = state
        at, previous = entry.seq, entry.hash
    if (at, previous) != (seq, last):
        return f"the journal ends at entry {at}, but the state was written up to entry {seq}"
    for serial in sorted(folded.keys() | devices.keys()):
        if not _same(folded.get(serial), devices.get(serial)):
            return f"the snapshot of {serial} is not what the journal says"
    return None


def damaged(place: object, what: str) -> StateCorrupt:
    """The error for a state that must not be used, naming the place and the way out."""
    return StateCorrupt(f"{place} is damaged: {what}. Restore it from a backup; see docs/state.md")


def _same(one: DeviceState | None, other: DeviceState | None) -> bool:
    if one is None or other is None:
        return one is other
    # == would take True for 1; the spelling does not.
    return one == other and canonical(device_to_json(one)) == canonical(device_to_json(other))

"""What is done with a state outside of an apply: look it up, forget, unlock, recover, verify. Stages meet here, too."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from typing import Any
from uuid import uuid4

from reconciler import __version__
from reconciler.config import Settings
from reconciler.errors import StateError, StateMissing
from reconciler.model import DeviceState, Draft, Entry, EntryKind, Holder, Json, Lease, Serial, Snapshot
from reconciler.near import near
from reconciler.plan.lifecycle import frozen_as
from reconciler.state.backend import Backend, Head
from reconciler.state.holder import this_process
from reconciler.state.lease import Held, hold, patience
from reconciler.state.open import Note, check_lineage, open_state
from reconciler.state.recovery import awaited, from_json
from reconciler.timestamp import stamp


def snapshot(settings: Settings, note: Note | None = None) -> Snapshot:
    """What was last applied, of the lineage that the settings name. `note` is told if that is only what was fetched."""
    with closing(open_state(settings.state, settings.root, note=note)) as backend:
        found = backend.read()
    check_lineage(found, settings.lineage, settings.state)
    return found


def device(settings: Settings, serial: str, note: Note | None = None) -> tuple[Snapshot, DeviceState]:
    """One device, and the snapshot it is in. Raises StateError, naming the serial that may have been meant."""
    found = snapshot(settings, note)
    state = found.devices.get(Serial(serial))
    if state is None:
        meant = near(serial, found.devices)
        hint = f"did you mean {meant}?" if meant else "`reconciler state list` shows those that are"
        raise StateError(f"{serial} is not in the state; {hint}")
    return found, state


def frozen(settings: Settings) -> Callable[[DeviceState], bool]:
    """Which devices the lifecycle lets change no more."""
    return lambda device: frozen_as(device, settings.lifecycle) is not None


def held_by_us(
    backend: Backend,
    holder: Holder,
    environ: Mapping[str, str],
    timeout: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AbstractContextManager[Held]:
    """The lease, for as long as the block runs. A wait for it, `timeout` seconds at most, is told in a line."""
    seconds = patience(environ) if timeout is None else timeout
    return hold(backend, holder, timeout=seconds, waiting=lambda error: say(f"waiting up to {seconds:.0f} s: {error}"))


def forget(settings: Settings, serial: str, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Remove a device from the state, journalled with who did it. Nothing is sent."""
    me = this_process(environ)
    with closing(_backend(settings)) as backend, held_by_us(backend, me, environ, say=say) as held:
        draft = Draft(EntryKind.FORGOTTEN, stamp(time.time()), run="", serial=Serial(serial), data={"by": me.by})
        backend.append(held.lease, [draft])


def unlock(settings: Settings, lease: str, environ: Mapping[str, str], *, force: bool) -> Lease:
    """Take the lease of that id away; returns what it was. Raises Locked for a live one, unless `force`."""
    with closing(_backend(settings)) as backend:
        return backend.unlock(lease, by=this_process(environ).by, at=stamp(time.time()), force=force)


def recover(
    settings: Settings, document: Mapping[str, Any], environ: Mapping[str, str], say: Callable[[str], None]
) -> tuple[int, int]:
    """Record the answers in a document of schemas/recovery.schema.json: how many were taken, of how many.

    They are entries of the run that got them; who recovered them, and from which run, is a run of its own before them.
    """
    drafts = from_json(document, lineage=snapshot(settings).lineage)
    me = this_process(environ)
    with closing(_backend(settings)) as backend, held_by_us(backend, me, environ, say=say) as held:
        taken = awaited(drafts, backend.read().devices)
        if taken:
            data: dict[str, Json] = {"command": "state recover", "by": me.by, "host": me.host, "pid": me.pid}
            data |= {"url": me.url, "version": __version__, "recovered": document["run"]}
            began = Draft(EntryKind.RUN, stamp(time.time()), uuid4().hex[:12], data=data)
            try:
                backend.append(held.lease, [began, *taken])
            except ValueError as error:
                raise StateError(f"these answers cannot be recorded: {error}; nothing was") from error
    return len(taken), len(drafts)


def journal(settings: Settings) -> Iterator[Entry]:
    """Every entry, oldest first; none where there is no state yet."""
    with closing(_backend(settings)) as backend:
        check_lineage(backend.head(), settings.lineage, settings.state)
        yield from backend.entries()


def history(settings: Settings, serial: str) -> Iterator[Entry]:
    """Every entry about a device and about those that it stands in for, and those that are about none."""
    about: set[Serial | None] = {Serial(serial), None}
    swaps = [swap for entry in journal(settings) if (swap := _swap(entry))]
    for new, old in reversed(swaps):
        if new in about:
            about.add(old)
    return (entry for entry in journal(settings) if entry.serial in about)


def _swap(entry: Entry) -> tuple[Serial, Serial] | None:
    """The new device and the old one, of an entry that says so."""
    if entry.serial is None:
        return None
    match entry.kind, entry.data:
        case EntryKind.INTENT, {"replaces": str(old)}:
            return entry.serial, Serial(old)
        case EntryKind.REPLACED, {"by": str(new)}:
            return Serial(new), entry.serial
        case _:
            return None


def verify(settings: Settings) -> int:
    """Check the chain and the snapshot: how many entries. Raises StateCorrupt, and StateMissing without a state."""
    with closing(_backend(settings)) as backend:
        _head(settings, backend)
        return backend.verify()


def head(settings: Settings) -> Head:
    """Where the journal stands. Raises StateMissing where there is none."""
    with closing(_backend(settings)) as backend:
        return _head(settings, backend)


def _head(settings: Settings, backend: Backend) -> Head:
    found = backend.head()
    check_lineage(found, settings.lineage, settings.state)
    if not found.lineage:
        raise StateMissing(missing(settings))
    return found


def missing(settings: Settings) -> str:
    """What is said where no state exists yet."""
    return f"there is no state at {settings.state} yet; the first apply creates it"


def _backend(settings: Settings) -> Backend:
    return open_state(settings.state, settings.root)

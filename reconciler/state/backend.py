"""Where state lives, as a contract. `tests/state/test_backend_contract.py` runs against every implementation."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from reconciler.model import DeviceState, Draft, Entry, Holder, Lease, Rhythm, Serial, Snapshot
from reconciler.state.chain import GENESIS


@dataclass(frozen=True, slots=True)
class Head:
    """Where a state stands: `seq` and `hash` are those of the last entry. The defaults are those of no state at all."""

    lineage: str = ""
    revision: int = 0
    seq: int = 0
    hash: str = GENESIS
    server: str = ""
    """Where the last run sent to."""


@dataclass(frozen=True, slots=True)
class Look:
    """Some devices of a state at one moment. `count` is how many it has in all.

    `touched` are those that the journal says something about since some earlier moment. `devices` are these and those
    that were asked for, as far as the state has them. `mark` is another if the state was altered past its journal.
    `lease` is as Backend.lease.
    """

    head: Head
    mark: str
    count: int
    touched: frozenset[Serial] = frozenset()
    devices: Mapping[Serial, DeviceState] = field(default_factory=dict)
    lease: Lease | None = None


Keep: TypeAlias = Callable[[Sequence[tuple[Serial, str]]], None]
"""Takes some devices of the snapshot, each as the JSON text of `change_json.device_to_json`."""


class Backend(Protocol):
    """A journal, the snapshot that is its fold, and the lease that guards both.

    The journal is the only thing that is written. `append` makes all its entries durable together or none of them, and
    moves the snapshot with them: after it returns, a power cut loses nothing; if it raises, nothing was written.

    A backend may be used from several threads, one call at a time being enough. Every method raises StateError (or one
    of its children) when the state is damaged, too new or cannot be reached. `read` and `entries` never create a state.
    """

    def read(self) -> Snapshot:
        """The snapshot now. No state yet: an empty snapshot with lineage "" and revision 0."""
        ...

    def look(self, since: Head, serials: Collection[Serial] = ()) -> Look | None:
        """What became of the state after `since`, and how `serials` stand; None if this one does not continue that.

        Every state continues `Head()`, which is that of none.
        Costs what moved and what is asked for, not what exists, where the state is kept so that it can.
        """
        ...

    def copy(self, keep: Keep) -> Look:
        """Hand every device of the snapshot to `keep`, in pages and in order of serials, all of one moment."""
        ...

    def entries(self, *, serial: Serial | None = None, after: int = 0) -> Iterator[Entry]:
        """Journal entries with `seq > after`, in order; of one device if `serial` is given."""
        ...

    def head(self) -> Head:
        """Where the state stands, without its devices."""
        ...

    def acquire(self, holder: Holder, *, ttl: float) -> Lease:
        """Take the lease, creating the state (with a new lineage) if there is none.

        A lease that has expired, or whose holder is provably dead (same host, same boot, process gone), is taken over.
        The new epoch is higher than every earlier one. Raises Locked with the present lease otherwise.
        """
        ...

    def renew(self, lease: Lease, *, ttl: float) -> Lease:
        """The same lease, expiring `ttl` seconds from now. Raises LeaseLost if it is no longer ours or has expired."""
        ...

    def release(self, lease: Lease) -> None:
        """Give the lease back. Does nothing if it is no longer ours."""
        ...

    def lease(self) -> Lease | None:
        """The present lease, expired or not; None if nobody holds one."""
        ...

    def append(self, lease: Lease, drafts: Sequence[Draft]) -> int:
        """Write the entries durably, in order, and return the new revision (+1 per append).

        Raises LeaseLost, with nothing written, if the lease is expired or of an older epoch; ValueError, likewise, for
        entries that cannot follow what was recorded (an outcome without an intent) or hold NaN or an infinity.
        """
        ...

    def rhythm(self) -> Rhythm:
        """How appends are best spaced now: it says how far intents must run ahead of their requests."""
        ...

    def unlock(self, lease_id: str, *, by: str, at: str, force: bool = False) -> Lease:
        """Take the named lease away from its holder, journalled as `unlocked`; returns what it was.

        Raises StateError if no such lease is held, Locked if it is live and `force` is not given.
        """
        ...

    def verify(self) -> int:
        """Check the whole chain and that its fold is the snapshot; the number of entries. Raises StateCorrupt."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...

"""Holding the right to write: wait for it, keep it alive, give it back.

    with hold(backend, this_process(os.environ), timeout=10) as held:
        backend.append(held.lease, drafts)      # raises LeaseLost if it is not ours any more
        if held.lost: ...                       # before every request: send nothing more

A lease runs by the wall clock. A clock that jumps ahead ends it early, which stops a run and harms nothing. A process
that is stopped past its end and continued finds out at its next write, because every write checks the lease.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import LeaseLost, Locked, ReconcilerError, StateBusy, StateError
from reconciler.model import Holder, Json, Lease
from reconciler.state.backend import Backend
from reconciler.state.holder import is_dead

TTL = 90.0
HEARTBEAT = 15.0


def patience(environ: Mapping[str, str]) -> float:
    """Seconds to wait for another holder unless told otherwise; in CI longer than an orphaned lease lives."""
    return 120.0 if environ.get("CI", "").lower() not in {"", "0", "false"} else 10.0


class Held:
    """A lease while its `with` block lasts. `lease` is the present one, renewed as time goes by."""

    def __init__(self, lease: Lease, now: Callable[[], float]) -> None:
        self.lease = lease
        self._now = now
        self._taken = False

    @property
    def lost(self) -> bool:
        """Whether the lease was taken away or ran out. Never turns back to False."""
        self._taken = self._taken or self.lease.expires <= self._now()
        return self._taken

    def taken(self) -> None:
        """Note that the backend does not know this lease any more."""
        self._taken = True


@contextmanager
def hold(
    backend: Backend,
    holder: Holder,
    *,
    timeout: float,
    ttl: float = TTL,
    heartbeat: float = HEARTBEAT,
    waiting: Callable[[Locked | StateBusy], None] = lambda _: None,
    now: Callable[[], float] = time.time,
) -> Iterator[Held]:
    """Hold the lease of `backend`, renewed every `heartbeat` seconds, for as long as the block runs.

    Waits up to `timeout` seconds for another holder, calling `waiting` once if it has to, then raises Locked; likewise
    for another program that keeps a lock on the file, with StateBusy.
    A lease that cannot be given back at the end runs out by itself: that is no reason to fail a run that is done.
    Raises ReconcilerError, and gives the lease back, where the system has no thread left to renew it.
    """
    held = Held(_acquire(backend, holder, timeout, ttl, waiting), now)
    done = threading.Event()
    beat = threading.Thread(target=_renew, args=(backend, held, ttl, heartbeat, done), name="heartbeat", daemon=True)
    try:
        _begin(beat)
        yield held
    finally:
        done.set()
        if beat.is_alive():
            beat.join()
        with suppress(StateError):
            backend.release(held.lease)


def is_live(lease: Lease, now: float) -> bool:
    """Whether the lease still binds others: not run out, and its holder not provably dead."""
    return lease.expires > now and not is_dead(lease.holder)


def locked(lease: Lease, now: float, *, unlocking: bool = False) -> Locked:
    """The error for a live lease, naming its holder and the way out."""
    ends = datetime.fromtimestamp(lease.expires, UTC)
    way_out = f"wait, or, if that run is gone: reconciler state unlock {lease.id}"
    if unlocking:
        way_out = f"if you are sure that it is dead: reconciler state unlock {lease.id} --force"
    return Locked(f"state is locked by {held_by(lease, now)} (lease ends {ends:%H:%M}); {way_out}", lease)


def held_by(lease: Lease, now: float) -> str:
    """Who holds the lease, where, and since when."""
    holder = lease.holder
    since, today = (datetime.fromtimestamp(seconds, UTC) for seconds in (lease.since, now))
    day = "" if since.date() == today.date() else f"{since:%Y-%m-%d} "
    url = f", {holder.url}" if holder.url else ""
    return f"{holder.by} (host {holder.host}, pid {holder.pid}{url}) since {day}{since:%H:%M} UTC"


def lease_to_json(lease: Lease) -> dict[str, Json]:
    """`{id, holder {by, host, boot, pid, started, url}, epoch, since, expires}`."""
    return asdict(lease)


def lease_from_json(item: Mapping[str, Any]) -> Lease:
    """The inverse of `lease_to_json`. Raises KeyError or TypeError for anything else."""
    return Lease(**{**item, "holder": Holder(**item["holder"])})


def _acquire(
    backend: Backend, holder: Holder, timeout: float, ttl: float, waiting: Callable[[Locked | StateBusy], None]
) -> Lease:
    deadline = time.monotonic() + timeout
    told = False
    while True:
        try:
            return backend.acquire(holder, ttl=ttl)
        except (Locked, StateBusy) as error:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise
            if not told:
                waiting(error)
                told = True
            time.sleep(min(0.5, remaining))


def _begin(beat: threading.Thread) -> None:
    try:
        beat.start()
    except RuntimeError as error:  # what Python makes of a limit on threads
        raise ReconcilerError(
            f"the system gives no more of what this needs: {error}; nothing was changed; raise the limit (ulimit)"
        ) from None


def _renew(backend: Backend, held: Held, ttl: float, heartbeat: float, done: threading.Event) -> None:
    while not done.wait(heartbeat):
        try:
            held.lease = backend.renew(held.lease, ttl=ttl)
        except LeaseLost:
            held.taken()
            return
        except StateError:
            continue  # the disk or the network may recover before the lease ends; if not, `lost` says so by the clock

"""State in a branch of the repository's remote: `git:BRANCH`.

The branch's newest commit is the state (git_tree.py says what is in it). A write is a commit on top of that one, pushed
with `--force-with-lease` over exactly it: whoever comes second is told so, reads again, and finds their lease gone or
still theirs. *Durable means pushed.* If the answer to a push is lost, the branch is read again, and our own write is
known by its commit, or by the hash of its last entry in the journal.

A write whose fate cannot be learnt within `patience` raises StateUnreachable, and may have been made all the same. An
intent that nobody sent is then sent by the next run; an outcome stands in the recovery file too, which does no harm.
"""
# ruff: noqa: D102 - backend.py states the law of each method

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from reconciler.errors import LeaseLost, StateError, StateUnreachable
from reconciler.model import Draft, Entry, Holder, Lease, Rhythm, Serial, Snapshot
from reconciler.printable import printable
from reconciler.state import git_tree as tree
from reconciler.state.advance import advance
from reconciler.state.backend import Head, Keep, Look
from reconciler.state.check import damage, damaged
from reconciler.state.git_reading import Reading, Tip
from reconciler.state.git_repository import Repository
from reconciler.state.right import Right, fenced, granted, not_locked, revoked, same
from reconciler.timestamp import stamp

PATIENCE = 30.0
"""Seconds for which a write is tried again while the remote cannot be reached or others get in first."""
GATHER, ENOUGH = 2.0, 25
"""A commit carries what comes together in so many seconds, or of so many devices."""
_FRESH = 1 / 6
"""A lease that the last write extended less than this part of its time ago needs no push of its own to be renewed."""


@dataclass(frozen=True, slots=True)
class _Write:
    """What the next commit changes, and why. `files` are those of the snapshot and the journal."""

    message: str
    root: tree.Root
    right: Right
    files: Mapping[str, bytes | None] = field(default_factory=dict)


class GitBackend:
    """A Backend (see backend.py) in one branch. `now` is the clock that leases run by, in UNIX seconds.

    `note` is told when the remote cannot be reached and the state as last fetched is read instead. Without it nobody
    could be told, so that it is an error. What writes never reads anything old: it must push, for `patience` seconds.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        now: Callable[[], float] = time.time,
        note: Callable[[str], None] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._repository = repository
        self._now = now
        self._note = note
        self._patience = patience
        self._one_at_a_time = threading.RLock()
        self._reading = Reading(repository)
        self._tip: Tip | None = None
        self._ttl = 0.0
        self._extended: Lease | None = None
        self._seconds = 0.0
        self._said = ""

    def read(self) -> Snapshot:
        tip = self._look()
        if tip is None:
            return Snapshot()
        head = tip.root.head
        return Snapshot(head.lineage, head.revision, self._reading.snapshot(tip), head.server)

    def head(self) -> Head:
        tip = self._look()
        return tip.root.head if tip else Head()

    def look(self, since: Head, serials: Collection[Serial] = ()) -> Look | None:
        tip = self._look()
        if tip is None:
            return None if since.lineage else Look(Head(), "", 0)
        return self._reading.look(tip, since, serials)

    def copy(self, keep: Keep) -> Look:
        tip = self._look()
        return self._reading.copy(tip, keep) if tip else Look(Head(), "", 0)

    def entries(self, *, serial: Serial | None = None, after: int = 0) -> Iterator[Entry]:
        tip = self._look()
        if tip:
            yield from self._reading.journal(tip, serial=serial, after=after)

    def acquire(self, holder: Holder, *, ttl: float) -> Lease:
        def take(tip: Tip | None) -> _Write:
            root = tip.root if tip else tree.Root(Head(lineage=str(uuid4())), sum=tree.total({}))
            right = tip.right if tip else Right()
            lease = granted(right, holder, ttl=ttl, now=self._now())
            return _Write(f"Give lease {lease.id} to {holder.by}", root, Right(lease.epoch, lease))

        return self._lent(self._write(take, fresh=True), ttl)

    def renew(self, lease: Lease, *, ttl: float) -> Lease:
        extended, now = self._extended, self._now()
        if extended and same(extended, lease) and extended.expires > max(now, now + ttl * (1 - _FRESH)):
            return extended

        def extend(tip: Tip | None) -> _Write:
            present = self._there(tip)
            renewed = replace(fenced(present.right, lease, self._now()), expires=self._now() + ttl)
            until = stamp(renewed.expires)
            return _Write(f"Extend lease {lease.id} to {until}", present.root, Right(renewed.epoch, renewed))

        return self._lent(self._write(extend), ttl)

    def release(self, lease: Lease) -> None:
        def give_back(tip: Tip | None) -> _Write | None:
            present = self._there(tip)
            if present.right.lease is None or not same(present.right.lease, lease):
                return None
            return _Write(f"Take lease {lease.id} back", present.root, replace(present.right, lease=None))

        self._extended = None
        self._write(give_back)

    def lease(self) -> Lease | None:
        tip = self._look()
        return tip.right.lease if tip else None

    def append(self, lease: Lease, drafts: Sequence[Draft]) -> int:
        def record(tip: Tip | None) -> _Write:
            present, now = self._there(tip), self._now()
            kept = fenced(present.right, lease, now)
            # The lease lives on with every append, so that a busy run needs no push to renew it.
            kept = replace(kept, expires=max(kept.expires, now + self._ttl))
            return self._recorded(present, drafts, replace(present.right, lease=kept))

        tip = self._write(record)
        self._extended = tip.right.lease
        return tip.root.head.revision

    def rhythm(self) -> Rhythm:
        return Rhythm(self._seconds, GATHER, ENOUGH)

    def unlock(self, lease_id: str, *, by: str, at: str, force: bool = False) -> Lease:
        taken: list[Lease] = []

        def take_away(tip: Tip | None) -> _Write:
            if tip is None or tip.right.lease is None:
                raise not_locked()
            lease, draft = revoked(tip.right, lease_id, by=by, at=at, now=self._now(), force=force)
            taken[:] = [lease]
            write = self._recorded(tip, [draft], replace(tip.right, lease=None))
            return replace(write, message=printable(f"Unlock: {by} takes lease {lease.id} from {lease.holder.by}"))

        self._write(take_away, fresh=True)
        return taken[0]

    def verify(self) -> int:
        tip = self._look()
        if tip is None:
            return 0
        head = tip.root.head
        wrong = damage(self._reading.journal(tip), self._reading.snapshot(tip), seq=head.seq, last=head.hash)
        if wrong:
            raise damaged(self._repository.place, wrong)
        return head.seq

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _look(self) -> Tip | None:
        """The state as the remote has it now, or, with a note, as it had it when it was last reached."""
        with self._one_at_a_time:
            try:
                self._tip = self._reading.latest()
            except StateUnreachable as error:
                known = self._repository.known() if self._note else None
                if known is None or self._note is None:
                    raise
                tip = self._reading.opened(known)
                written = stamp(self._repository.written(known))
                said = f"{error}; read as last fetched: revision {tip.root.head.revision}, written {written}"
                if said != self._said:
                    self._said = said
                    self._note(said)
                return tip
            return self._tip

    def _there(self, tip: Tip | None) -> Tip:
        if tip is None:
            raise StateError(f"{self._repository.place} is gone: somebody removed it; nothing was written")
        return tip

    def _lent(self, tip: Tip, ttl: float) -> Lease:
        if tip.right.lease is None:
            raise StateError(f"{self._repository.place} was written by somebody else at the same time; run again")
        self._ttl, self._extended = ttl, tip.right.lease
        return tip.right.lease

    def _recorded(self, tip: Tip, drafts: Sequence[Draft], right: Right) -> _Write:
        """The write that appends `drafts`. Raises ValueError for entries that cannot follow."""
        files = self._reading.files(tip)
        about = {tree.shard(draft.serial) for draft in drafts if draft.serial is not None}
        last = max(tree.segments(files), default=None)
        there = {path: files[path] for path in (*about, last) if path in files}
        contents = dict(zip(there, self._reading.contents([*there.values()]), strict=True))
        shards = {path: self._reading.parsed([contents[path]]) if path in contents else {} for path in about}
        moved = advance(tip.root.head, drafts, lambda serial: shards[tree.shard(serial)].get(serial))
        count = tip.root.devices
        for serial, state in moved.devices.items():
            before = shards[tree.shard(serial)].pop(serial, None)
            count += (state is not None) - (before is not None)
            if state:
                shards[tree.shard(serial)][serial] = state
        changed = {path: tree.shard_of(devices) for path, devices in shards.items()}
        changed |= tree.extended(last, contents[last] if last else b"", moved.entries)
        names = {path: tree.blob(content, tip.commit) for path, content in changed.items() if content is not None}
        kept = {path: name for path, name in files.items() if path not in changed}
        root = tree.Root(moved.head, count, tree.total(kept | names))
        return _Write(tree.message(drafts), root, right, changed)

    def _write(self, change: Callable[[Tip | None], _Write | None], *, fresh: bool = False) -> Tip:
        """Push what `change` makes of the newest state, making it anew whenever somebody else was faster."""
        with self._one_at_a_time:
            until = time.monotonic() + self._patience
            tip = self._reading.latest() if fresh or self._tip is None else self._tip
            while True:
                try:
                    write = change(tip)
                except LeaseLost:
                    if fresh:
                        raise
                    tip, fresh = self._reading.latest(), True  # who holds it now?
                    continue
                if write is None:
                    return self._there(tip)
                written = self._committed(tip, write)
                trouble: StateError | None = None
                began = time.monotonic()
                try:
                    if self._repository.push(written.commit, over=tip.commit if tip else None):
                        self._tip, self._seconds = written, time.monotonic() - began
                        return written
                except StateUnreachable as error:
                    trouble = error
                self._tip = None
                before, tip, fresh = tip, self._again(until), True
                if tip and self._is_ours(tip, written, before):
                    return written
                overtaken = trouble is None and tip != before
                if time.monotonic() > until and not overtaken:
                    raise trouble or StateError(f"{self._repository.place} cannot be written just now; try again")
                time.sleep(random.uniform(0, 0.05 if overtaken else 0.5))  # noqa: S311 - so that two do not meet again

    def _committed(self, tip: Tip | None, write: _Write) -> Tip:
        files = dict(write.files)
        if tip is None or write.root != tip.root:
            files[tree.STATE] = tree.root_to_bytes(write.root)
        files[tree.LEASE] = tree.right_to_bytes(write.right)
        commit = self._repository.commit(tip.commit if tip else None, files, write.message, at=self._now())
        return Tip(commit, write.root, write.right)

    def _again(self, until: float) -> Tip | None:
        """The state after a push whose fate we do not know. Raises StateUnreachable if it cannot be learnt."""
        while True:
            try:
                self._tip = self._reading.latest()
            except StateUnreachable:
                if time.monotonic() > until:
                    raise
                time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - a pause
            else:
                return self._tip

    def _is_ours(self, tip: Tip, written: Tip, before: Tip | None) -> bool:
        """Whether our push landed: its commit is there, or its last entry, if somebody wrote after us already."""
        if tip.commit == written.commit:
            return True
        last = written.root.head
        if before is None or last.seq == before.root.head.seq or tip.root.head.seq < last.seq:
            return False
        return next(self._reading.journal(tip, after=last.seq - 1)).hash == last.hash

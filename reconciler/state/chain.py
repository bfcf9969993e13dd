"""The journal as a hash chain: every entry names the hash of the one before it, so none can be altered, lost or added.

Whoever can write the whole file can forge a whole chain: `audit head`, stored elsewhere, is what betrays them.
"""

from collections.abc import Iterable, Iterator

from reconciler.canonical import sha256
from reconciler.model import Draft, Entry, Json

GENESIS = "0" * 64
"""What the first entry names as its previous hash."""


def link(drafts: Iterable[Draft], seq: int, previous: str) -> Iterator[Entry]:
    """The drafts as entries after entry number `seq` with the hash `previous`. Raises ValueError for NaN."""
    for draft in drafts:
        seq += 1
        content = _content(seq, draft, previous)
        entry = Entry(seq, draft.kind, draft.at, draft.run, draft.serial, draft.data, previous, sha256(content))
        yield entry
        previous = entry.hash


def damage(entry: Entry, seq: int, previous: str) -> str | None:
    """What is wrong with `entry` as the one after entry `seq` with the hash `previous`; None if it fits."""
    if entry.seq != seq + 1:
        return f"entry {seq + 1} is missing: entry {entry.seq} comes after entry {seq}"
    if entry.hash != sha256(_content(entry.seq, entry, entry.previous)):
        return f"entry {entry.seq} ({entry.kind}, {entry.at}) was altered: its hash does not fit its content"
    if entry.previous != previous:
        return f"entry {entry.seq} ({entry.kind}, {entry.at}) does not follow entry {seq}: the chain is broken there"
    return None


def _content(seq: int, entry: Draft | Entry, previous: str) -> dict[str, Json]:
    return {
        "seq": seq,
        "kind": entry.kind,
        "at": entry.at,
        "run": entry.run,
        "serial": entry.serial,
        "data": dict(entry.data),
        "previous": previous,
    }

"""The journal as a hash chain: every entry names the hash of the one before it, so none can be altered, lost or added.

Whoever can write the whole file can forge a whole chain: `audit head`, stored elsewhere, is what betrays them.
"""

import hashlib
from collections.abc import Iterable, Iterator

from reconciler.canonical import canonical
from reconciler.model import Draft, Entry

GENESIS = "0" * 64
"""What the first entry names as its previous hash."""


def link(drafts: Iterable[Draft], seq: int, previous: str) -> Iterator[Entry]:
    """The drafts as entries after entry number `seq` with the hash `previous`. Raises ValueError for NaN."""
    return (entry for entry, _ in spelled(drafts, seq, previous))


def spelled(drafts: Iterable[Draft], seq: int, previous: str) -> Iterator[tuple[Entry, str]]:
    """Like `link`, each with the canonical spelling of its data."""
    for draft in drafts:
        seq += 1
        data = canonical(dict(draft.data))
        digest = _hash(seq, draft, data, previous)
        yield Entry(seq, draft.kind, draft.at, draft.run, draft.serial, draft.data, previous, digest), data
        previous = digest


def damage(entry: Entry, seq: int, previous: str) -> str | None:
    """What is wrong with `entry` as the one after entry `seq` with the hash `previous`; None if it fits."""
    if entry.seq != seq + 1:
        return f"entry {seq + 1} is missing: entry {entry.seq} comes after entry {seq}"
    if entry.hash != _hash(entry.seq, entry, canonical(dict(entry.data)), entry.previous):
        return f"entry {entry.seq} ({entry.kind}, {entry.at}) was altered: its hash does not fit its content"
    if entry.previous != previous:
        return f"entry {entry.seq} ({entry.kind}, {entry.at}) does not follow entry {seq}: the chain is broken there"
    return None


def _hash(seq: int, entry: Draft | Entry, data: str, previous: str) -> str:
    """sha256 over the canonical spelling of the entry, around that of its data: nothing is spelled twice."""
    at, kind, run = canonical(entry.at), canonical(entry.kind), canonical(entry.run)
    serial = canonical(entry.serial)
    text = (
        f'{{"at":{at},"data":{data},"kind":{kind},"previous":{canonical(previous)},"run":{run},"seq":{seq},'
        f'"serial":{serial}}}'
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

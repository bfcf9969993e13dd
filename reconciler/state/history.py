"""When each value of a device was last settled, and by which run: read from the journal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.model import Entry, EntryKind
from reconciler.pointer import within
from reconciler.state.backend import Backend

_REACH = 512
"""So many entries before an outcome its run is looked for first."""
_SETTLED = {EntryKind.APPLIED, EntryKind.DIVERGENT, EntryKind.ACCEPTED}


@dataclass(frozen=True, slots=True)
class History:
    """The outcomes that last settled each pointer, and the pointers that were secrets when they were recorded."""

    outcomes: Mapping[str, Entry]
    secret: frozenset[str]

    def outcome(self, path: str) -> Entry | None:
        """The last outcome of a PUT that was about the value at `path`, one around it, or one in it."""
        about = [entry for settled, entry in self.outcomes.items() if within(path, settled) or within(settled, path)]
        return max(about, key=lambda entry: entry.seq, default=None)

    def forgotten(self, secrets: Iterable[str]) -> frozenset[str]:
        """What was, or held, a secret when it was recorded, and is, and holds, none of `secrets`, those of today."""
        known = tuple(secrets)
        return frozenset(path for path in self.secret if not any(within(secret, path) for secret in known))


def history(entries: Iterable[Entry]) -> History:
    """What the entries of one device say. A device that was released, replaced or forgotten begins anew."""
    outcomes: dict[str, Entry] = {}
    secret: set[str] = set()
    pending: list[str] = []
    for entry in entries:
        changes = _changes(entry)
        secret |= {change["path"] for change in changes if change.get("sensitive")}
        if entry.kind is EntryKind.INTENT:
            pending = [change["path"] for change in changes]
        elif entry.kind in _SETTLED:
            settled = [change["path"] for change in changes] if "fields" in entry.data else pending
            outcomes |= dict.fromkeys(settled, entry)
        elif entry.kind in {EntryKind.RELEASED, EntryKind.REPLACED, EntryKind.FORGOTTEN}:
            outcomes.clear()
    return History(outcomes, frozenset(secret))


def began(backend: Backend, entry: Entry) -> Entry | None:
    """With what the run of `entry` began; None if nothing says so.

    It is looked for backwards, each time further: most runs are short, and a journal is long.
    """
    last, reach = entry.seq, _REACH
    while last > 0 and entry.run:
        first = max(0, last - reach)
        for item in backend.entries(after=first):
            if item.seq > last:
                break
            if item.kind is EntryKind.RUN and item.run == entry.run:
                return item
        last, reach = first, reach * 4
    return None


def _changes(entry: Entry) -> list[dict[str, Any]]:
    fields = entry.data.get("fields")
    return [item for item in fields if isinstance(item, dict)] if isinstance(fields, list) else []

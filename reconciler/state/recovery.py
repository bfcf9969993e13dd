"""Outcomes that a run knew and could not record: kept in a file until the state can take them. Pure.

The law: recovering never says more than the run knew. An outcome is only taken for the very PUT it answers, so that
recovering a file twice or late does nothing that is not true.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.errors import StateError
from reconciler.model import DeviceState, Draft, EntryKind, Json, Serial

FORMAT_VERSION = 1


def to_json(drafts: Iterable[Draft], *, lineage: str, run: str) -> dict[str, Json]:
    """The file's content; see schemas/recovery.schema.json."""
    return {
        "format_version": FORMAT_VERSION,
        "lineage": lineage,
        "run": run,
        "entries": [
            {"kind": draft.kind, "at": draft.at, "serial": draft.serial, "data": dict(draft.data)} for draft in drafts
        ],
    }


def from_json(document: Mapping[str, Any], *, lineage: str) -> tuple[Draft, ...]:
    """The outcomes in a file that fits its schema. Raises StateError if they are about another state."""
    if document["lineage"] != lineage:
        raise StateError(f"it belongs to the state of lineage {document['lineage']}, and this one is {lineage}")
    return tuple(
        Draft(EntryKind(item["kind"]), item["at"], document["run"], Serial(item["serial"]), item["data"])
        for item in document["entries"]
    )


def awaited(drafts: Iterable[Draft], devices: Mapping[Serial, DeviceState]) -> tuple[Draft, ...]:
    """Those of the outcomes that answer a PUT which is still unknown, and is the one of their run; one a device.

    With them go the devices that were forgotten for these.
    """
    found: dict[Serial, Draft] = {}
    for draft in drafts:
        state = devices.get(draft.serial) if draft.serial else None
        if draft.serial is None or state is None:
            continue
        waiting = state.unknown is not None and state.unknown.run == draft.run and not state.unknown.given_up
        if draft.data.get("by") in found if draft.kind is EntryKind.REPLACED else waiting:
            found.setdefault(draft.serial, draft)
    return tuple(found.values())

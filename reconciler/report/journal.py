"""The journal and the snapshot as text for people and JSON for programs.

Secrets are shown as "(sensitive)": `hidden` says of a JSON Pointer whether it is a secret, holds one or is part of one.
What the text shows is printable characters only, whatever a device, a server or a CI variable contains.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from reconciler.change_json import device_to_json
from reconciler.model import ABSENT, DeviceState, Entry, Json, Serial, Snapshot, Value
from reconciler.pointer import join, related
from reconciler.printable import dotted, printable

FORMAT_VERSION = 1

Hidden = Callable[[str], bool]

_MASK = "(sensitive)"
_LONGEST = 120


def entry_text(entry: Entry, hidden: Hidden, run: Entry | None = None) -> str:
    """One line: time, run and whose it was, device, what happened. Long values are cut, the JSON form has all."""
    at = f"{entry.at[:10]} {entry.at[11:19]}Z"
    whose = f"{entry.run or '-'}" + (f" by {run.data.get('by')}" if run and run is not entry else "")
    return printable(f"{at}  {whose}  {entry.serial or '-'}  {entry.kind}  {_details(entry, hidden)}").rstrip()


def entry_json(entry: Entry, hidden: Hidden, run: Entry | None = None) -> str:
    """One JSON line of schemas/audit.schema.json, with who ran it where, and for which commit.

    `hash` is over the entry as recorded, secrets included.
    """
    document: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "seq": entry.seq,
        "kind": entry.kind,
        "at": entry.at,
        "run": entry.run,
        "serial": entry.serial,
        "data": _masked_data(entry.data, hidden),
        "previous": entry.previous,
        "hash": entry.hash,
    }
    if run:
        document |= {key: run.data[key] for key in ("by", "commit", "url") if key in run.data}
    return json.dumps(document)


Frozen = Callable[[DeviceState], bool]
"""Whether the lifecycle lets a device change no more."""


def standing(state: DeviceState, frozen: Frozen) -> str:
    """In one word, the worst first: unknown, divergent, unconfirmed, or else frozen or applied."""
    if state.unknown:
        return "unknown"
    if state.divergence:
        return "divergent"
    if state.unconfirmed:
        return "unconfirmed"
    return "frozen" if frozen(state) else "applied"


def list_text(snapshot: Snapshot, frozen: Frozen) -> str:
    """A line for each device: serial, number of fields, standing."""
    width = max((len(serial) for serial in snapshot.devices), default=0)
    rows = [f"{'SERIAL':{width}}  FIELDS  STANDING"]
    for serial, state in sorted(snapshot.devices.items()):
        rows.append(f"{serial:{width}}  {len(state.fields):6}  {standing(state, frozen)}")
    return printable_lines(rows)


def list_json(snapshot: Snapshot, frozen: Frozen) -> str:
    """The `list` form of schemas/state.schema.json."""
    devices: list[Json] = [
        {"serial": serial, "fields": len(state.fields), "standing": standing(state, frozen)}
        for serial, state in sorted(snapshot.devices.items())
    ]
    return json.dumps(_head(snapshot) | {"devices": devices}, indent=2)


def show_text(serial: Serial, state: DeviceState, hidden: Hidden, frozen: Frozen) -> str:
    """One device: its fields as last applied, and what stands in the way of calling it done."""
    rows = [f"{serial}  {standing(state, frozen)}"]
    leaves = list(_leaves(state.fields))
    width = max((len(dotted(path)) for path, _ in leaves), default=0)
    rows += [f"  {dotted(path):{width}}  {_shown(value, path, hidden, longest=None)}" for path, value in leaves]
    if state.unknown:
        rows.append("unknown: a PUT of these fields was sent and never answered; the next plan sends them again")
        body = state.unknown.body
        rows += [f"  {name}  {_shown(value, join(name), hidden, longest=None)}" for name, value in body.items()]
    if state.divergence:
        rows.append("divergent: the server holds something else than was sent")
        rows += [
            f"  {dotted(item.path)}  sent {_shown(item.sent, item.path, hidden, longest=None)},"
            f" server holds {_shown(item.echoed, item.path, hidden, longest=None)}"
            for item in state.divergence
        ]
    if state.unconfirmed:
        rows.append("unconfirmed: the server accepted these fields without showing them")
        rows += [f"  {name}" for name in sorted(state.unconfirmed)]
    return printable_lines(rows)


def show_json(serial: Serial, state: DeviceState, snapshot: Snapshot, hidden: Hidden, frozen: Frozen) -> str:
    """The `show` form of schemas/state.schema.json."""
    document: dict[str, Json] = {"serial": serial, "standing": standing(state, frozen)}
    document |= _masked_data(device_to_json(state), hidden)
    return json.dumps(_head(snapshot) | document, indent=2)


def printable_lines(rows: Iterable[str]) -> str:
    """The rows, each printable and without trailing blanks, as one text."""
    return "\n".join(printable(row).rstrip() for row in rows)


def _head(snapshot: Snapshot) -> dict[str, Json]:
    return {"format_version": FORMAT_VERSION, "lineage": snapshot.lineage, "revision": snapshot.revision}


def _details(entry: Entry, hidden: Hidden) -> str:
    data = dict(entry.data)
    hidden = _with_flagged(hidden, data)
    parts: list[str] = []
    if "fields" in data:
        action = data.pop("action", "nothing sent")
        parts.append(f"{action}: " + ", ".join(_change(item, hidden) for item in _items(data.pop("fields"))))
        data.pop("body", None)
    for item in _items(data.pop("divergence", [])):
        sent, echoed = (_shown(item.get(key, ABSENT), item["path"], hidden) for key in ("sent", "echoed"))
        parts.append(f"{dotted(item['path'])}: sent {sent}, server holds {echoed}")
    late = data.pop("late", False)
    parts += [f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in data.items()]
    parts += ["an earlier request may still arrive"] if late else []
    return "; ".join(parts)


def _change(item: Mapping[str, Any], hidden: Hidden) -> str:
    path = item["path"]
    before, after = (_shown(item.get(key, ABSENT), path, hidden) for key in ("before", "after"))
    if "before" not in item:
        return f"{dotted(path)} = {after}"
    return f"{dotted(path)}: {before} → {after}"


def _shown(value: Value, path: str, hidden: Hidden, longest: int | None = _LONGEST) -> str:
    if value is ABSENT:
        return "(absent)"
    masked = _masked(value, path, hidden)
    text = _MASK if masked == _MASK else json.dumps(masked, ensure_ascii=False)
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def _masked_data(data: Mapping[str, Json], hidden: Hidden) -> dict[str, Any]:
    """Data of an entry, or a device, with every secret in it hidden."""
    hidden = _with_flagged(hidden, data)
    result: dict[str, Any] = dict(data)
    for key in ("fields", "divergence"):
        if isinstance(result.get(key), list):
            result[key] = [_masked_item(item, hidden) for item in result[key]]
    for key in ("fields", "body"):
        if isinstance(result.get(key), dict):
            result[key] = _masked(result[key], "", hidden)
    for key in ("unknown", "late"):
        if isinstance(result.get(key), dict):
            result[key] = _masked_data(result[key], hidden)
    return result


def _masked_item(item: Mapping[str, Any], hidden: Hidden) -> dict[str, Any]:
    values = {"before", "after", "sent", "echoed"}
    return {key: _masked(value, item["path"], hidden) if key in values else value for key, value in item.items()}


def _masked(value: Json, path: str, hidden: Hidden) -> Json:
    if path and not hidden(path):
        return value
    if isinstance(value, dict):
        return {key: _masked(inner, path + join(key), hidden) for key, inner in value.items()}
    return _MASK


def _with_flagged(hidden: Hidden, data: Mapping[str, Json]) -> Hidden:
    """`hidden`, and what was marked as a secret when it was recorded: the schema may have forgotten it since."""
    flagged = [item["path"] for item in _items(data.get("fields")) if item.get("sensitive")]
    if not flagged:
        return hidden
    return lambda path: hidden(path) or any(related(path, secret) for secret in flagged)


def _items(value: Json) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _leaves(value: Mapping[str, Json], path: str = "") -> Iterator[tuple[str, Json]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, path + join(key))
        else:
            yield path + join(key), inner

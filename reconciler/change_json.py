"""Changes and device states as JSON objects: the one spelling used by the journal, the snapshot and plan files.

The law: `x_from_json(x_to_json(value)) == value`. A missing key is ABSENT; a null is a null.
"""

from collections.abc import Mapping
from typing import Any

from reconciler.model import ABSENT, DeviceState, Divergence, FieldChange, Intent, Json, Late, Source, Value


def field_to_json(change: FieldChange) -> dict[str, Json]:
    """`{path, before?, after?, sensitive?, source?}`. Secrets are written as they are: leave them out before."""
    result: dict[str, Json] = {"path": change.path}
    _put(result, "before", change.before)
    _put(result, "after", change.after)
    if change.sensitive:
        result["sensitive"] = True
    if change.source:
        result["source"] = source_to_json(change.source)
    return result


def field_from_json(item: Json) -> FieldChange:
    """The inverse of `field_to_json`. Raises ValueError for anything else."""
    path, keys = _path_and_keys(item)
    source = source_from_json(keys["source"]) if "source" in keys else None
    return FieldChange(
        path, keys.get("before", ABSENT), keys.get("after", ABSENT), source, sensitive=keys.get("sensitive") is True
    )


def divergence_to_json(divergence: Divergence) -> dict[str, Json]:
    """`{path, sent?, echoed?}`."""
    result: dict[str, Json] = {"path": divergence.path}
    _put(result, "sent", divergence.sent)
    _put(result, "echoed", divergence.echoed)
    return result


def divergence_from_json(item: Json) -> Divergence:
    """The inverse of `divergence_to_json`. Raises ValueError for anything else."""
    path, keys = _path_and_keys(item)
    return Divergence(path, keys.get("sent", ABSENT), keys.get("echoed", ABSENT))


def device_to_json(state: DeviceState) -> dict[str, Json]:
    """`{fields, unknown?, divergence? [...], unconfirmed? [...], late? {body, given_up}}`.

    `unknown` is `{body, fields, uncertain?, run?, given_up?}`.
    """
    result: dict[str, Json] = {"fields": dict(state.fields)}
    if state.unknown is not None:
        unknown: dict[str, Json] = {
            "body": dict(state.unknown.body),
            "fields": [field_to_json(change) for change in state.unknown.fields],
        }
        if state.unknown.uncertain:
            unknown["uncertain"] = True
        unknown |= {key: text for key, text in _sent_by(state.unknown) if text}
        result["unknown"] = unknown
    if state.divergence:
        result["divergence"] = [divergence_to_json(item) for item in state.divergence]
    if state.unconfirmed:
        result["unconfirmed"] = [*sorted(state.unconfirmed)]
    if state.late:
        result["late"] = {"body": dict(state.late.body), "given_up": state.late.given_up}
    return result


def device_from_json(item: Mapping[str, Any]) -> DeviceState:
    """The inverse of `device_to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    if len(item) == 1:
        return DeviceState(item["fields"])
    unknown, late = item.get("unknown"), item.get("late")
    return DeviceState(
        fields=item["fields"],
        unknown=unknown and _intent_from_json(unknown),
        divergence=tuple(divergence_from_json(each) for each in item.get("divergence", ())),
        unconfirmed=frozenset(item.get("unconfirmed", ())),
        late=late and Late(late["body"], late["given_up"]),
    )


def _sent_by(intent: Intent) -> tuple[tuple[str, str], ...]:
    return ("run", intent.run), ("given_up", intent.given_up)


def _intent_from_json(item: Mapping[str, Any]) -> Intent:
    """From `{body, fields, uncertain?, run?, given_up?}`, as a device's `unknown` is written."""
    return Intent(
        body=item["body"],
        fields=tuple(field_from_json(change) for change in item["fields"]),
        uncertain=item.get("uncertain", False),
        run=item.get("run", ""),
        given_up=item.get("given_up", ""),
    )


def _path_and_keys(item: Json) -> tuple[str, dict[str, Json]]:
    if isinstance(item, dict) and isinstance(path := item.get("path"), str):
        return path, item
    raise ValueError(f'expected an object with a "path", found {item!r}')


def _put(target: dict[str, Json], key: str, value: Value) -> None:
    if value is not ABSENT:
        target[key] = value


def source_to_json(source: Source) -> dict[str, Json]:
    """`{file, line, column}`."""
    return {"file": source.file, "line": source.line, "column": source.column}


def source_from_json(item: Json) -> Source:
    """The inverse of `source_to_json`. Raises ValueError for anything else."""
    if isinstance(item, dict):
        file, line, column = item.get("file"), item.get("line"), item.get("column")
        if isinstance(file, str) and isinstance(line, int) and isinstance(column, int):
            return Source(file, line, column)
    raise ValueError(f"not a place in a file: {item!r}")

"""Where in the files the changed fields stand. Pure: somebody else looks them up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.model import Action, Change, DesiredState, Source


def wanted(changes: Sequence[Change], desired: DesiredState) -> Mapping[str, Sequence[str]]:
    """By file, the JSON Pointers from its top that are worth looking up.

    An adopted device has only one place, as a whole, and that is known already.
    """
    found: dict[str, list[str]] = {}
    for change in changes:
        device = desired.devices.get(change.serial)
        if device and change.action is not Action.ADOPT:
            found.setdefault(device.source.file, []).extend(device.pointer + field.path for field in change.fields)
    return found


def placed(
    changes: Sequence[Change], desired: DesiredState, places: Mapping[str, Mapping[str, Source]]
) -> tuple[Change, ...]:
    """The changes with the places of their fields, by file and pointer, where there are any."""
    return tuple(_placed(change, desired, places) for change in changes)


def _placed(change: Change, desired: DesiredState, places: Mapping[str, Mapping[str, Source]]) -> Change:
    device = desired.devices.get(change.serial)
    found = places.get(device.source.file) if device else None
    if device is None or not found:
        return change
    fields = (replace(field, source=found.get(device.pointer + field.path)) for field in change.fields)
    return replace(change, fields=tuple(fields))

"""Where in the files the changed fields stand. Pure: somebody else looks them up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from reconciler.model import Change, DesiredState, Device, Source

Origin = Callable[[Device, str], tuple[str, str] | None]
"""The file, and the pointer from its top, that decide the value of a device at a pointer, or its absence."""


def wanted(changes: Sequence[Change], desired: DesiredState, origin: Origin) -> Mapping[str, set[str]]:
    """By file, the JSON Pointers from its top that are worth looking up."""
    found: dict[str, set[str]] = {}
    for change in changes:
        if device := desired.devices.get(change.serial):
            for field in change.fields:
                if said := origin(device, field.path):
                    found.setdefault(said[0], set()).add(said[1])
    return found


def placed(
    changes: Sequence[Change], desired: DesiredState, places: Mapping[str, Mapping[str, Source]], origin: Origin
) -> tuple[Change, ...]:
    """The changes with the places of their fields, by file and pointer, where there are any."""
    return tuple(
        _placed(change, device, places, origin) if (device := desired.devices.get(change.serial)) else change
        for change in changes
    )


def _placed(change: Change, device: Device, places: Mapping[str, Mapping[str, Source]], origin: Origin) -> Change:
    fields = []
    for field in change.fields:
        said = origin(device, field.path)
        fields.append(replace(field, source=places.get(said[0], {}).get(said[1])) if said else field)
    return replace(change, fields=tuple(fields))

"""Where in the files the changed fields stand. Pure: somebody else looks them up."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from reconciler.model import Change, DesiredState, Device, FieldChange, Source

Where = Callable[[Device, str], tuple[Source | None, bool]]
"""Where the value of a device at a pointer, or its absence, is decided; and whether for this device alone."""


def placed(changes: Iterable[Change], desired: DesiredState, where: Where) -> tuple[Change, ...]:
    """The changes with the places of their fields, where there are any."""
    return tuple(
        _placed(change, device, where) if (device := desired.devices.get(change.serial)) else change
        for change in changes
    )


def _placed(change: Change, device: Device, where: Where) -> Change:
    fields = tuple(
        FieldChange(field.path, field.before, field.after, source, field.sensitive, own)
        for field in change.fields
        for source, own in [where(device, field.path)]
    )
    return replace(change, fields=fields)

"""The values that a plan file leaves out, put back from where they are kept. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.errors import StalePlan
from reconciler.model import ABSENT, Change, Device, DeviceState, Serial
from reconciler.pointer import get


def bare(changes: Sequence[Change]) -> frozenset[Serial]:
    """The devices whose changes come from a file and lack their secrets."""
    return frozenset(
        change.serial
        for change in changes
        if any(field.sensitive and field.before is ABSENT and field.after is ABSENT for field in change.fields)
    )


def filled(
    changes: Sequence[Change],
    serials: frozenset[Serial],
    desired: Mapping[Serial, Device],
    states: Mapping[Serial, DeviceState],
) -> tuple[Change, ...]:
    """The changes, those of `serials` with their secrets as the inventory and the snapshot hold them now.

    Raises StalePlan if one of these devices has left the inventory.
    """
    gone = sorted(serials - desired.keys())
    if gone:
        raise StalePlan(f"{gone[0]} left the inventory since this plan was made; nothing was sent; plan again", gone)
    return tuple(
        _filled(change, desired[change.serial], states.get(change.serial)) if change.serial in serials else change
        for change in changes
    )


def _filled(change: Change, device: Device, state: DeviceState | None) -> Change:
    held = state.fields if state else {}
    return replace(
        change,
        fields=tuple(
            replace(field, before=get(held, field.path), after=get(device.fields, field.path))
            if field.sensitive
            else field
            for field in change.fields
        ),
    )

"""The values that a plan file leaves out, put back from where they are kept. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.errors import StalePlan
from reconciler.model import ABSENT, Change, Device, DeviceState, Json, Serial
from reconciler.plan.decommission import retired
from reconciler.plan.diff import fingerprint
from reconciler.plan.marks import Marks
from reconciler.plan.wording import named
from reconciler.pointer import get, patched


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
    *,
    marks: Marks,
    decommission: Mapping[str, Json] | None = None,
) -> tuple[Change, ...]:
    """The changes, those of `serials` with their secrets as the inventory and the snapshot hold them now.

    What the inventory does not say of a device that had left it is in the snapshot and in the fields that
    `decommission` names. Raises StalePlan if one of the other devices has left the inventory, or is declared with other
    values: a file leaves out the whole of a new object with a secret in it, and only what `marks` call secret may move.
    """
    result = tuple(
        _filled(change, desired.get(change.serial), states.get(change.serial), decommission)
        if change.serial in serials
        else change
        for change in changes
    )
    others = [
        change.serial
        for change in result
        if change.serial in serials and _astray(change, states.get(change.serial), marks)
    ]
    if others:
        verb = "is" if len(others) == 1 else "are"
        raise StalePlan(
            f"{named(others)} {verb} declared with other values than when this plan was made; nothing was sent;"
            " plan again",
            others,
        )
    return result


def _astray(change: Change, state: DeviceState | None, marks: Marks) -> bool:
    """Whether the change begins where its device stands, and does not lead where it should."""
    held = state.fields if state else {}
    led = patched(held, [(field.path, field.after) for field in change.fields])
    return fingerprint(held, marks) == change.before and fingerprint(led, marks) != change.after


def _filled(
    change: Change, device: Device | None, state: DeviceState | None, patch: Mapping[str, Json] | None
) -> Change:
    had_left = change.source is None
    if had_left and state is not None and patch is not None:
        wanted: Mapping[str, Json] = retired(state, patch)
    elif device is not None and not had_left:
        wanted = device.fields
    else:
        moved = "stopped being one to decommission" if had_left else "left the inventory"
        raise StalePlan(
            f"{change.serial} {moved} since this plan was made; nothing was sent; plan again", [change.serial]
        )
    held = state.fields if state else {}
    return replace(
        change,
        fields=tuple(
            replace(field, before=get(held, field.path), after=get(wanted, field.path)) if field.sensitive else field
            for field in change.fields
        ),
    )

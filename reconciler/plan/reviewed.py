"""What of a plan nobody has agreed to, given the plans that were reviewed. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from reconciler.model import ABSENT, Action, Change, DeviceState, FieldChange, Plan, Serial
from reconciler.plan.news import same
from reconciler.pointer import get, split


def unreviewed(
    changes: Sequence[Change],
    reviewed: Sequence[Plan],
    devices: Mapping[Serial, DeviceState],
    *,
    merged: Callable[[str], bool],
) -> tuple[Change, ...]:
    """The changes with only those fields that no reviewed plan holds; none for a device that is covered as a whole.

    The law: a field is covered if a reviewed change of the same device has the same path and leads it from the same
    value to the same value. A secret, whose values no plan file holds, is covered if the change begins and ends at the
    same fingerprints, too. To release, decommission or replace a device must have been reviewed as just that; to adopt,
    update and send again are one and the same here, for what is sent is what the fields say.

    What an earlier run sent, and has no answer yet, was agreed to then: `devices` is where they stand, and a field that
    leads to what was sent, or back to what is confirmed, is covered. So a run can be repeated whatever became of it.
    """
    agreed: defaultdict[Serial, list[Change]] = defaultdict(list)
    for plan in reviewed:
        for change in plan.changes:
            agreed[change.serial].append(change)
            if change.replaces and not change.kept:
                agreed[change.replaces].append(
                    replace(change, serial=change.replaces, action=Action.RELEASE, fields=())
                )
    return tuple(_rest(changes, agreed, devices, merged))


def _rest(
    changes: Sequence[Change],
    agreed: Mapping[Serial, Sequence[Change]],
    devices: Mapping[Serial, DeviceState],
    merged: Callable[[str], bool],
) -> Iterator[Change]:
    for change in changes:
        alike = [other for other in agreed.get(change.serial, ()) if _alike(other, change)]
        state = devices.get(change.serial) if change.unknown else None
        left = tuple(
            field
            for field in change.fields
            if not any(_holds(other, change, field) for other in alike)
            and not (state is not None and _on_its_way(field, state, merged))
        )
        more_than_fields = change.action is not Action.RESEND or change.replaces is not None
        if left or (more_than_fields and not alike):
            yield replace(change, fields=left or change.fields)


def _alike(reviewed: Change, change: Change) -> bool:
    """Whether whoever agreed to the one agreed to what the other does beside its fields."""
    if change.replaces and (reviewed.replaces != change.replaces or (reviewed.kept and not change.kept)):
        return False
    if change.action is Action.RELEASE or reviewed.action is Action.RELEASE:
        return change.action is reviewed.action
    if change.action is Action.DECOMMISSION:
        had_left = reviewed.action is Action.RESEND and reviewed.source is None
        return had_left or reviewed.action is Action.DECOMMISSION
    return True


def _holds(reviewed: Change, change: Change, field: FieldChange) -> bool:
    if field.sensitive and (reviewed.before, reviewed.after) != (change.before, change.after):
        return False
    return any(
        other.path == field.path
        and other.sensitive == field.sensitive
        and (field.sensitive or (same(other.before, field.before) and same(other.after, field.after)))
        for other in reviewed.fields
    )


def _on_its_way(field: FieldChange, state: DeviceState, merged: Callable[[str], bool]) -> bool:
    if state.unknown is None:
        return False
    name, *inside = split(field.path)
    if field.after is ABSENT and (not inside or merged(name)):
        return False  # a body that does not name it says nothing about it
    return any(name in held and same(get(held, field.path), field.after) for held in (state.unknown.body, state.fields))

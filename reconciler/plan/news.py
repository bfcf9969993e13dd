"""What a change brings to its device that is new."""

from collections.abc import Iterator

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Change, DeviceState, FieldChange, Value
from reconciler.plan.decommission import asked
from reconciler.pointer import get


def news(change: Change, state: DeviceState) -> Iterator[FieldChange]:
    """The fields that a device gets which it neither was confirmed to have nor was asked to by its last PUT."""
    last = asked(state)
    for field in change.fields:
        if not any(same(field.after, get(known, field.path)) for known in (state.fields, last)):
            yield field


def same(left: Value, right: Value) -> bool:
    """Whether these are one JSON value: 1 is neither 1.0 nor true, and absent is not null."""
    if left is ABSENT or right is ABSENT:
        return left is right
    return canonical(left) == canonical(right)

"""What a change brings to its device that is new."""

from collections.abc import Iterator

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Change, DeviceState, FieldChange, Value
from reconciler.pointer import get


def news(change: Change, state: DeviceState) -> Iterator[FieldChange]:
    """The fields whose new value was neither confirmed nor sent before, without an answer so far."""
    sent = state.unknown.body if state.unknown else {}
    for field in change.fields:
        if not any(same(field.after, get(known, field.path)) for known in (state.fields, sent)):
            yield field


def same(left: Value, right: Value) -> bool:
    """Whether these are one JSON value: 1 is neither 1.0 nor true, and absent is not null."""
    if left is ABSENT or right is ABSENT:
        return left is right
    return canonical(left) == canonical(right)

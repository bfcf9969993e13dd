"""What is sent for a change."""

from collections.abc import Callable, Mapping

from reconciler.model import ABSENT, Change, Json
from reconciler.pointer import patched, split


def body(change: Change, fields: Mapping[str, Json], *, merged: Callable[[str], bool]) -> dict[str, Json]:
    """The JSON object to PUT so that a device confirmed at `fields` gets `change`.

    A changed top-level field is sent whole; of the `merged` ones only the changed keys are. What is released is not
    sent: an empty body means that there is nothing to send.
    """
    target = patched(fields, [(field.path, field.after) for field in change.fields])
    result: dict[str, Json] = {}
    for field in change.fields:
        name, *inside = split(field.path)
        if merged(name) and inside:
            if field.after is not ABSENT:
                result = patched(result, [(field.path, field.after)])
        elif name in target:
            result[name] = target[name]
    return result


def removed_keys(change: Change, *, merged: Callable[[str], bool]) -> tuple[str, ...]:
    """Pointers of the keys that this change removes from objects which it sends whole: the echo must not hold them."""
    return tuple(
        field.path
        for field in change.fields
        for name, *inside in [split(field.path)]
        if inside and field.after is ABSENT and not merged(name)
    )

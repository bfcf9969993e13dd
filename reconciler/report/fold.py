"""The changes of a plan, told by what causes them: a line of a file once, however many devices it changes.

The law: causes, groups and singles together hold every field of every change exactly once, and every device.
"""

from array import array
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Action, Change, FieldChange, Serial, Source, Value


@dataclass(frozen=True, slots=True)
class Cause:
    """A line that decides the same field of two devices or more. `members` are by serial; what they hold may differ.

    So may what they get, where the line is a text to be filled in. It either sets or removes, never both.
    """

    action: Action
    source: Source
    path: str
    members: tuple[tuple[Serial, FieldChange], ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """Causes and groups: most devices first, then by place. Singles: by place.

    The changes in `groups` and `singles` have only those fields that no cause tells. Those of a group are alike; a
    device whose every field a cause tells is in neither.
    """

    causes: tuple[Cause, ...]
    groups: tuple[tuple[Change, ...], ...]
    singles: tuple[Change, ...]


def folded(changes: Iterable[Change], briefly: Container[Action] = ()) -> Folded:
    """The same whatever the order of the changes, of which no device has two, nor a change two fields of one path.

    Secrets are never compared: they are alike if there is one before, or after, in both; so that no number of groups
    tells how many different ones there are. Of changes that are told `briefly`, only causes are made.
    """
    ordered = sorted(changes, key=lambda change: change.serial)
    lines: dict[tuple[Action, Source, str, bool], int] = {}
    told = array("l")
    for change in ordered:
        for field in change.fields:
            number = -1
            if field.source and not field.own:
                line = change.action, field.source, field.path, field.after is ABSENT
                number = lines.setdefault(line, len(lines))
            told.append(number)
    counts = {**Counter(told), -1: 0}
    shared: dict[int, list[tuple[Serial, FieldChange]]] = {}
    once: dict[object, FieldChange] = {}
    alike: dict[object, list[Change]] = {}
    numbers = iter(told)
    for change in ordered:
        left = []
        for field in change.fields:
            number = next(numbers)
            if counts[number] > 1:
                same = once.setdefault((number, spelled(field.before), spelled(field.after)), field)
                shared.setdefault(number, []).append((change.serial, same))
            else:
                left.append(field)
        if change.action in briefly:
            continue
        if left or not change.fields:
            rest = change if len(left) == len(change.fields) else replace(change, fields=tuple(left))
            alike.setdefault(_shape(rest), []).append(rest)
    causes = [
        Cause(action, source, path, tuple(shared[number]))
        for (action, source, path, _), number in lines.items()
        if number in shared
    ]
    return Folded(
        tuple(sorted(causes, key=lambda cause: (-len(cause.members), *_place(cause.source), cause.path, cause.action))),
        tuple(sorted((tuple(group) for group in alike.values() if len(group) > 1), key=_by_size)),
        tuple(sorted((group[0] for group in alike.values() if len(group) == 1), key=by_place)),
    )


def spelled(value: Value) -> object:
    """Equal exactly for values that are equal as JSON texts, and hashable: 1, 1.0 and true are three values."""
    if isinstance(value, dict | list):
        return dict, canonical(value)
    return type(value), repr(value) if isinstance(value, float) else value


def by_place(change: Change) -> tuple[str, int, int, str]:
    """Sorts changes by where their devices are declared; those that no file declares come first."""
    return (*_place(change.source), change.serial)


def _shape(change: Change) -> object:
    """What changes of the same kind have in common."""
    fields = (
        (field.path, *map(_masked if field.sensitive else spelled, (field.before, field.after)))
        for field in change.fields
    )
    return change.action, change.unknown is None, change.replaces, change.waits_for, frozenset(fields)


def _masked(value: Value) -> object:
    return value is ABSENT


def _by_size(group: tuple[Change, ...]) -> tuple[int, tuple[str, int, int, str]]:
    return -len(group), by_place(group[0])


def _place(source: Source | None) -> tuple[str, int, int]:
    return (source.file, source.line, source.column) if source else ("", 0, 0)

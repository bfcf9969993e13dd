"""The changes of a plan, told by what causes them: a line of a file once, however many devices it changes.

The law: causes, groups and singles together hold every field of every change exactly once, and every device.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Action, Change, FieldChange, Serial, Source, Value

_Members: TypeAlias = list[tuple[Serial, FieldChange]]


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


def folded(changes: Iterable[Change]) -> Folded:
    """The same whatever the order of the changes.

    Secrets are never compared: they are alike if there is one before, or after, in both; so that no number of groups
    tells how many different ones there are.
    """
    ordered = sorted(changes, key=lambda change: change.serial)
    lines: dict[tuple[Action, Source, str, bool], _Members] = {}
    told: list[list[_Members]] = []
    for change in ordered:
        mine: list[_Members] = []
        for field in change.fields:
            members: _Members = []
            if field.source:
                members = lines.setdefault((change.action, field.source, field.path, field.after is ABSENT), members)
                members.append((change.serial, field))
            mine.append(members)
        told.append(mine)
    causes = [
        Cause(action, source, path, tuple(members))
        for (action, source, path, _), members in lines.items()
        if _shared(members)
    ]
    alike: dict[object, list[Change]] = {}
    for change, lists in zip(ordered, told, strict=True):
        left = tuple(field for field, members in zip(change.fields, lists, strict=True) if not _shared(members))
        if left or not change.fields:
            alike.setdefault(_shape(change, left), []).append(replace(change, fields=left))
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


def _shared(members: _Members) -> bool:
    return len(members) > 1 and members[0][0] != members[-1][0]


def _shape(change: Change, fields: Iterable[FieldChange]) -> object:
    return (
        change.action,
        change.unknown is None,
        frozenset(
            (field.path, *map(_masked if field.sensitive else spelled, (field.before, field.after))) for field in fields
        ),
    )


def _masked(value: Value) -> object:
    return value is ABSENT


def _by_size(group: tuple[Change, ...]) -> tuple[int, tuple[str, int, int, str]]:
    return -len(group), by_place(group[0])


def _place(source: Source | None) -> tuple[str, int, int]:
    return (source.file, source.line, source.column) if source else ("", 0, 0)

"""The changes of a plan, told by what causes them: a line of a file once, however many devices it changes.

The law: causes, groups and singles together hold every field of every change exactly once, and every device.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from reconciler.brief import actions, serials, shared
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
    lines: dict[tuple[Action, Source, str, bool], int] = {}
    members: dict[int, list[tuple[Serial, FieldChange]]] = {}
    once: dict[object, FieldChange] = {}
    others: list[Change] = []
    told = array("l")

    def number(action: Action, field: FieldChange) -> int:
        if not field.source or field.own:
            return -1
        return lines.setdefault((action, field.source, field.path, field.after is ABSENT), len(lines))

    def tell(number: int, serial: Serial, field: FieldChange) -> None:
        same = once.setdefault((number, spelled(field.before), spelled(field.after)), field)
        members.setdefault(number, []).append((serial, same))

    ordered = _in_order(changes)
    names, common = serials(ordered), shared(ordered)
    for at, action in enumerate(actions(ordered)):
        if action in briefly:
            for field in common(at):
                tell(number(action, field), names[at], field)
        else:
            others.append(change := ordered[at])
            told.extend(number(action, field) for field in change.fields)
    alike = _alike(others, told, tell)
    causes = [
        Cause(action, source, path, tuple(members[at]))
        for (action, source, path, _), at in lines.items()
        if len(members.get(at, ())) > 1
    ]
    return Folded(
        tuple(sorted(causes, key=lambda cause: (-len(cause.members), *_place(cause.source), cause.path, cause.action))),
        tuple(sorted((tuple(group) for group in alike.values() if len(group) > 1), key=_by_size)),
        tuple(sorted((group[0] for group in alike.values() if len(group) == 1), key=by_place)),
    )


def _alike(
    changes: Sequence[Change], lines: Sequence[int], tell: Callable[[int, Serial, FieldChange], None]
) -> dict[object, list[Change]]:
    """What is left of changes by its shape, once the fields of which another has the same line are told.

    `lines` are by field, one after the other; -1 is no line.
    """
    counts = {**Counter(lines), -1: 0}
    alike: dict[object, list[Change]] = {}
    numbers = iter(lines)
    for change in changes:
        left = []
        for field in change.fields:
            at = next(numbers)
            if counts[at] > 1:
                tell(at, change.serial, field)
            else:
                left.append(field)
        if left or not change.fields:
            rest = change if len(left) == len(change.fields) else replace(change, fields=tuple(left))
            alike.setdefault(_shape(rest), []).append(rest)
    return alike


def _in_order(changes: Iterable[Change]) -> Sequence[Change]:
    """By serial, as they are in plans."""
    known = changes if isinstance(changes, Sequence) else list(changes)
    names = serials(known)
    if all(one <= other for one, other in pairwise(names)):
        return known
    return [known[index] for index in sorted(range(len(known)), key=names.__getitem__)]


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

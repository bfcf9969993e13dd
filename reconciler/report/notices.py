"""What each line of the inventory changes, to be shown beside that line in a pull request."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from reconciler.model import Action, Change, Plan, Source
from reconciler.report.fold import folded
from reconciler.report.lines import brief, caused, who
from reconciler.report.text import merges_of

TEXTS = 6
"""Lines of one notice."""
LONG = 400
"""Characters of one."""


def notices(plan: Plan) -> tuple[tuple[Source, str, str], ...]:
    """(place, title, text) for each line that changes something, the line that changes most devices first.

    A device that nothing else tells of is at the line where it is declared; one that left the inventory has no line.
    """
    merges = merges_of(plan)
    fold = folded(plan.changes)
    said: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    devices: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    first: dict[tuple[str, int], Source] = {}

    def note(source: Source, text: str, serials: Sequence[str]) -> None:
        place = source.file, source.line
        first.setdefault(place, source)
        said[place].append(click.unstyle(text)[:LONG])
        devices[place].update(serials)

    for cause in fold.causes:
        note(cause.source, caused(cause, (0, 0), merges), [serial for serial, _ in cause.members])
    for group in (*fold.groups, *((change,) for change in fold.singles)):
        for place, alike in _placed(group):
            note(place, brief(alike, len(who(alike)), merges), [change.serial for change in alike])
    order = sorted(said, key=lambda place: (-len(devices[place]), place))
    return tuple((first[place], _title(len(devices[place])), _text(said[place])) for place in order)


def _placed(group: Sequence[Change]) -> Iterator[tuple[Source, Sequence[Change]]]:
    """What changes alike, by the lines that say so: of each field its own, or that of the device for a first PUT."""
    change = group[0]
    lines = defaultdict(list)
    for number, field in enumerate(change.fields):
        lines[field.source or change.source].append(number)
    if change.action in {Action.ADOPT, Action.REPLACE} or not change.fields:
        lines = defaultdict(list, {change.source: [*range(len(change.fields))]})
    for source, numbers in lines.items():
        if source:
            chosen = ((each, tuple(each.fields)) for each in group)
            yield source, [replace(each, fields=tuple(fields[n] for n in numbers)) for each, fields in chosen]


def _title(devices: int) -> str:
    return f"Changes {devices:,} device{'s' if devices != 1 else ''}"


def _text(lines: Sequence[str]) -> str:
    more = [f"… and {len(lines) - TEXTS:,} more"] if len(lines) > TEXTS else []
    return "\n".join([*lines[:TEXTS], *more])

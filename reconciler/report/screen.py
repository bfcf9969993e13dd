"""The changes of a plan in so many lines: what fits is shown, and how much does not is said.

The law: every device is shown, or counted in a line that is, or in the last line as left out.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from click import style

from reconciler.model import Action, Change, Serial
from reconciler.printable import dotted, printable
from reconciler.report.fold import Cause, by_place, folded
from reconciler.report.lines import (
    FEW,
    NAMED,
    SYMBOLS,
    VALUE,
    Merges,
    all_named,
    brief,
    caused,
    colored,
    columns,
    fields_counted,
    named,
    who,
    whole,
)

DETAILED_ADOPTIONS = 3
"""Up to so many adopted devices are shown with all their fields."""
MORE = "--full shows every device and every field."
ACTIONS = tuple(Action)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines, what is left out of them in words, and whether `--full` has more to tell."""

    lines: Sequence[str]
    left: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Section:
    """What would take `height` lines, blank ones included, and can do with fewer."""

    height: int
    part: Callable[[int], _Part]


def legend(changes: Sequence[Change]) -> list[str]:
    """The symbols that these changes use."""
    used = {change.action for change in changes}
    return ["  ".join(f"{colored(SYMBOLS[action])} {action}" for action in Action if action in used), ""]


def full_lines(changes: Sequence[Change], merges: Merges) -> Iterator[str]:
    """Every device with every field, by action."""
    for action in Action:
        mine = [change for change in changes if change.action is action]
        width = max((len(change.serial) for change in mine), default=0)
        for change in mine:
            yield from whole([change], width, merges)
        if mine and not mine[-1].fields:
            yield ""


def screen_lines(changes: Sequence[Change], merges: Merges, room: int) -> Iterator[str]:
    """The changes folded, on about `room` lines: causes, adoptions, the other groups and devices, what is left out."""
    adopted: list[Change] = []
    told: list[Change] = []
    for change in changes:
        (adopted if change.action is Action.ADOPT else told).append(change)
    detailed = adopted if len(adopted) <= DETAILED_ADOPTIONS else []
    fold = folded([*told, *([] if detailed else adopted)], briefly={Action.ADOPT})
    others = [*fold.groups, *zip(fold.singles)]
    devices = sorted([*zip(detailed), *others], key=lambda group: (len(group) == 1, ACTIONS.index(group[0].action)))
    sections = [
        _causes(fold.causes, merges),
        _adoptions([] if detailed else adopted, merges),
        _devices(devices, {change.serial: len(change.fields) for change in [*detailed, *told]}, merges),
    ]
    shares = _shares([section.height for section in sections], room - 2)
    parts = []
    spare = 0
    for section, share in zip(sections, shares, strict=True):
        if section.height:
            parts.append(section.part(share + spare))
            spare += share - len(parts[-1].lines)
            yield from parts[-1].lines
    left = "; ".join(part.left for part in parts if part.left)
    if any(part.more for part in parts):
        yield style(f"Left out: {left}. {MORE}", bold=True) if left else style(MORE, dim=True)
        yield ""


def _causes(causes: Sequence[Cause], merges: Merges) -> _Section:
    def part(share: int) -> _Part:
        shown, hidden = _fair(causes, lambda cause: cause.action, share - 1)
        widths = columns(shown)
        devices = len({serial for cause in hidden for serial, _ in cause.members})
        lines = "lines that change" if hidden[1:] else "line that changes"
        left = f"{len(hidden):,} more {lines} {devices:,} devices" if hidden else ""
        told = [*(caused(cause, widths, merges) for cause in shown), ""]
        return _Part(told, left, more=bool(left) or any(len(cause.members) > FEW for cause in shown))

    return _Section(len(causes) + 1 if causes else 0, part)


def _adoptions(adopted: Sequence[Change], merges: Merges) -> _Section:
    def part(share: int) -> _Part:
        if len(adopted) < share:
            width = max(len(change.serial) for change in adopted)
            return _Part([*(brief([change], width, merges) for change in sorted(adopted, key=by_place)), ""], more=True)
        fields = sum(len(change.fields) for change in adopted)
        places = _by_folder(adopted, max(1, share - 3))
        width = min(VALUE, max(map(len, places)))
        head = (
            f"{colored('+')} {style(f'{len(adopted):,} devices', bold=True)} to adopt, {fields_counted(fields)} in all:"
        )
        lines = [f"    {colored('+')} {place:<{width}}  {_within(group)}" for place, group in places.items()]
        names = list(map(dotted, dict.fromkeys(field.path for change in adopted for field in change.fields)))
        told = f"    {', '.join(names[:NAMED])}{f', and {len(names) - NAMED:,} more' if names[NAMED:] else ''}"
        left = f"the values of {len(adopted):,} adopted devices that no line above tells"
        return _Part([head, told, *lines, ""], left, more=True)

    return _Section(len(adopted) + 1 if adopted else 0, part)


def _by_folder(changes: Sequence[Change], most: int) -> Mapping[str, Sequence[Change]]:
    """The changes by file, or by folders as deep as it takes to have no more than `most`; most devices first."""
    depth = max(_file(change).count("/") for change in changes) + 1
    while True:
        places: dict[str, list[Change]] = {}
        for change in changes:
            parts = _file(change).split("/")
            folder = "/".join(parts[:depth] or ["."]) + ("/" if len(parts) > depth else "")
            places.setdefault(printable(folder), []).append(change)
        if len(places) <= most or depth == 0:
            return dict(sorted(places.items(), key=lambda place: (-len(place[1]), place[0])))
        depth -= 1


def _within(group: Sequence[Change]) -> str:
    """`150 devices in 12 files: G-1, G-2, …`."""
    files = len({_file(change) for change in group})
    count = f"{len(group):,} device{'s' if group[1:] else ''}" + (f" in {files:,} files" if files > 1 else "")
    return f"{count}: {named(group, VALUE)}"


def _file(change: Change) -> str:
    return change.source.file if change.source else ""


def _devices(groups: Sequence[Sequence[Change]], fields: Mapping[Serial, int], merges: Merges) -> _Section:
    """`fields`: how many fields of each device change, those included that a cause tells."""

    def shared(group: Sequence[Change]) -> int:
        return fields[group[0].serial] - len(group[0].fields) if len(group) == 1 else 0

    def part(share: int) -> _Part:
        if height <= share:
            width = max((len(who(group)) for group in groups if not group[0].fields), default=0)
            lines = [line for group in groups for line in whole(group, width, merges, shared(group))]
            return _Part([*lines, *end], more=any(not all_named(group) for group in groups))
        shown, hidden = _fair(groups, lambda group: group[0].action, share - 1)
        width = max((len(who(group)) for group in shown if len(group) == 1), default=0)
        counts = Counter(change.action for group in hidden for change in group)
        each = ", ".join(f"{counts[action]:,} to {action}" for action in Action if counts[action])
        left = f"{counts.total():,} more devices ({each})" if hidden else ""
        return _Part([*(brief(group, width, merges, shared(group)) for group in shown), ""], left, more=True)

    end = [""] if groups and not groups[-1][0].fields else []
    height = sum(len(group[0].fields) + 2 if group[0].fields else 1 for group in groups) + len(end)
    return _Section(height, part)


def _fair(items: Sequence[Item], action: Callable[[Item], Action], most: int) -> tuple[Sequence[Item], Sequence[Item]]:
    """Up to `most` items, one at least, and the others. The actions take turns, so that none hides another."""
    queues: dict[Action, list[int]] = {}
    for index, item in enumerate(items):
        queues.setdefault(action(item), []).append(index)
    turns = [index for turn in zip_longest(*queues.values()) for index in turn if index is not None]
    chosen = set(turns[: max(1, most)])
    return (
        [item for index, item in enumerate(items) if index in chosen],
        [item for index, item in enumerate(items) if index not in chosen],
    )


def _shares(heights: Sequence[int], room: int) -> Sequence[int]:
    """What each gets of the room: who needs little gets it all, the others as much as one another."""
    shares = [0] * len(heights)
    ascending = sorted(range(len(heights)), key=heights.__getitem__)
    for served, index in enumerate(ascending):
        shares[index] = min(heights[index], room // (len(heights) - served))
        room -= shares[index]
    return shares

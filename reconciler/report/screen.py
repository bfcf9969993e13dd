"""The changes of a plan in so many lines: what fits is shown, and how much does not is said.

The law: every device is shown, or counted in a line that is, or in the last line as left out.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TypeVar

from click import style

from reconciler.brief import actions
from reconciler.model import Action, Change, Serial
from reconciler.report.adoptions import adoptions
from reconciler.report.fold import Cause, folded
from reconciler.report.lines import (
    FEW,
    SYMBOLS,
    Merges,
    all_named,
    brief,
    caused,
    colored,
    columns,
    who,
    whole,
)
from reconciler.report.sections import Part, Section

DETAILED_ADOPTIONS = 3
"""Up to so many adopted devices are shown with all their fields."""
MORE = "--full shows every device and every field."
ACTIONS = tuple(Action)
BRIEFLY = frozenset({Action.ADOPT})

Item = TypeVar("Item")


def legend(done: Container[Action]) -> list[str]:
    """The symbols of these actions."""
    return ["  ".join(f"{colored(SYMBOLS[action])} {action}" for action in Action if action in done), ""]


def full_lines(changes: Sequence[Change], merges: Merges) -> Iterator[str]:
    """Every device with every field, by action."""
    for action in Action:
        mine = [change for change in changes if change.action is action]
        width = max((len(change.serial) for change in mine), default=0)
        for change in mine:
            yield from whole([change], width, merges)
        if mine and not mine[-1].fields:
            yield ""


def screen_lines(changes: Sequence[Change], merges: Merges, room: int, more: str = MORE) -> Iterator[str]:
    """The changes folded, on about `room` lines: causes, adoptions, the other groups and devices, what is left out.

    `more` says where all of it is.
    """
    adopted = sum(action is Action.ADOPT for action in actions(changes))
    detailed = adopted <= DETAILED_ADOPTIONS
    told = [changes[at] for at, action in enumerate(actions(changes)) if detailed or action is not Action.ADOPT]
    fold = folded([change for change in told if change.action is not Action.ADOPT] if detailed else changes, BRIEFLY)
    first = [change for change in told if change.action is Action.ADOPT]
    others = [*fold.groups, *zip(fold.singles)]
    devices = sorted([*zip(first), *others], key=lambda group: (len(group) == 1, ACTIONS.index(group[0].action)))
    sections = [
        _causes(fold.causes, merges),
        adoptions(changes, 0 if detailed else adopted, merges),
        _devices(devices, {change.serial: len(change.fields) for change in told}, merges),
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
        yield style(f"Left out: {left}. {more}", bold=True) if left else style(more, dim=True)
        yield ""


def _causes(causes: Sequence[Cause], merges: Merges) -> Section:
    def part(share: int) -> Part:
        shown, hidden = _fair(causes, lambda cause: cause.action, share - 1)
        widths = columns(shown)
        devices = len({serial for cause in hidden for serial, _ in cause.members})
        lines = "lines that change" if hidden[1:] else "line that changes"
        left = f"{len(hidden):,} more {lines} {devices:,} devices" if hidden else ""
        told = [*(caused(cause, widths, merges) for cause in shown), ""]
        return Part(told, left, more=bool(left) or any(len(cause.members) > FEW for cause in shown))

    return Section(len(causes) + 1 if causes else 0, part)


def _devices(groups: Sequence[Sequence[Change]], fields: Mapping[Serial, int], merges: Merges) -> Section:
    """`fields`: how many fields of each device change, those included that a cause tells."""

    def shared(group: Sequence[Change]) -> int:
        return fields[group[0].serial] - len(group[0].fields) if len(group) == 1 else 0

    def part(share: int) -> Part:
        if height <= share:
            width = max((len(who(group)) for group in groups if not group[0].fields), default=0)
            lines = [line for group in groups for line in whole(group, width, merges, shared(group))]
            return Part([*lines, *end], more=any(not all_named(group) for group in groups))
        shown, hidden = _fair(groups, lambda group: group[0].action, share - 1)
        width = max((len(who(group)) for group in shown if len(group) == 1), default=0)
        counts = Counter(change.action for group in hidden for change in group)
        each = ", ".join(f"{counts[action]:,} to {action}" for action in Action if counts[action])
        left = f"{counts.total():,} more devices ({each})" if hidden else ""
        return Part([*(brief(group, width, merges, shared(group)) for group in shown), ""], left, more=True)

    end = [""] if groups and not groups[-1][0].fields else []
    height = sum(len(group[0].fields) + 2 if group[0].fields else 1 for group in groups) + len(end)
    return Section(height, part)


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

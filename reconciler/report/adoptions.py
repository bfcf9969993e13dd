"""The devices that a plan adopts, where they are too many for a line each: how many in which folders.

Looks at each device once, and keeps the name of its file: there may be a million.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from click import style

from reconciler.brief import actions, outlines
from reconciler.model import Action, Change, Serial
from reconciler.printable import dotted, printable
from reconciler.report.fold import by_place
from reconciler.report.lines import NAMED, VALUE, Merges, brief, colored, fields_counted, listed
from reconciler.report.sections import Part, Section


def adoptions(changes: Sequence[Change], count: int, merges: Merges) -> Section:
    """The section of those among `changes` that are adoptions, which are `count`; or, for 0, of none."""

    def part(share: int) -> Part:
        if count < share:
            mine = (at for at, action in enumerate(actions(changes)) if action is Action.ADOPT)
            found = sorted((changes[at] for at in mine), key=by_place)
            width = max(len(change.serial) for change in found)
            return Part([*(brief([change], width, merges) for change in found), ""], more=True)
        fields, paths, files = _counted(changes)
        places = _by_folder(files, max(1, share - 3))
        width = min(VALUE, max(map(len, places)))
        head = f"{colored('+')} {style(f'{count:,} devices', bold=True)} to adopt, {fields_counted(fields)} in all:"
        lines = [f"    {colored('+')} {place:<{width}}  {within.said()}" for place, within in places.items()]
        told = f"    {', '.join(paths[:NAMED])}{f', and {len(paths) - NAMED:,} more' if paths[NAMED:] else ''}"
        left = f"the values of {count:,} adopted devices that no line above tells"
        return Part([head, told, *lines, ""], left, more=True)

    return Section(count + 1 if count else 0, part)


@dataclass(slots=True)
class _Within:
    """How many devices are in how many files, and the first of them."""

    devices: int = 0
    files: int = 0
    first: list[Serial] = field(default_factory=list)

    def add(self, other: "_Within") -> None:
        """These, too."""
        self.devices += other.devices
        self.files += other.files
        if len(self.first) < NAMED or other.first[0] < self.first[-1]:
            self.first = sorted([*self.first, *other.first])[:NAMED]

    def said(self) -> str:
        """`150 devices in 12 files: G-1, G-2, …`."""
        count = f"{self.devices:,} device{'s' if self.devices != 1 else ''}"
        return (
            f"{count}{f' in {self.files:,} files' if self.files > 1 else ''}: {listed(self.first, self.devices, VALUE)}"
        )


def _counted(changes: Sequence[Change]) -> tuple[int, Sequence[str], Mapping[str, _Within]]:
    """How many fields, which ones, and the devices by file; the devices come in the order of their serials."""
    fields = 0
    names: dict[str, None] = {}
    files: dict[str, _Within] = {}
    seen: set[tuple[str, ...]] = set()
    for serial, action, file, paths in outlines(changes):
        if action is not Action.ADOPT:
            continue
        fields += len(paths)
        if paths not in seen:
            seen.add(paths)
            names.update(dict.fromkeys(paths))
        within = files.setdefault(file, _Within(files=1))
        within.devices += 1
        if len(within.first) < NAMED:
            within.first.append(serial)
    return fields, list(map(dotted, names)), files


def _by_folder(files: Mapping[str, _Within], most: int) -> Mapping[str, _Within]:
    """By file, or by folders as deep as it takes to have no more than `most`; most devices first."""
    depth = max(file.count("/") for file in files) + 1
    places: Mapping[str, _Within] = files
    while len(places) > most and depth:
        depth -= 1
        above: dict[str, _Within] = {}
        for place, within in places.items():
            parts = place.split("/")
            folder = place if len(parts) <= depth else "/".join(parts[:depth] or ["."]) + "/"
            above.setdefault(folder, _Within()).add(within)
        places = above
    shown: dict[str, _Within] = {}
    for place, within in places.items():
        shown.setdefault(printable(place), _Within()).add(within)
    return dict(sorted(shown.items(), key=lambda place: (-place[1].devices, place[0])))

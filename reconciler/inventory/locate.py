"""Findings -> problems: where in the file, and the line itself. Only files with findings are read again."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.inventory.document import MAX_PROBLEMS, MORE, Finding, Parsed, Place
from reconciler.inventory.read import load
from reconciler.inventory.scalars import quoted
from reconciler.model import Problem, Source


def capped(findings: Iterable[Finding]) -> list[Finding]:
    """At most MAX_PROBLEMS findings of each file, the first ones, and one more that says how many others there are.

    Warnings are counted apart.
    """
    kept: list[Finding] = []
    listed: Counter[tuple[str, bool]] = Counter()
    others: Counter[tuple[str, bool]] = Counter()
    for finding in findings:
        kind = (finding.file, finding.warning)
        if finding.message and listed[kind] < MAX_PROBLEMS:
            listed[kind] += 1
            kept.append(finding)
        else:
            others[kind] += 1
    for (file, warning), count in others.items():
        noun = "warning" if warning else "problem"
        message = (
            f"{count:,} more {noun}{'' if count == 1 else 's'} of this file {'is' if count == 1 else 'are'} not listed"
        )
        fix = "correct these first; many may have one cause"
        kept.append(Finding(MORE, message, fix, file, "", warning=warning))
    return kept


def news(findings: Iterable[Finding], damaged: Mapping[str, frozenset[str]]) -> list[Finding]:
    """The findings that say something new: not about a value whose problem is told already. No warning hides a problem.

    `damaged` is by file. The order decides: what is wrong with a serial comes before what the schema thinks of it. What
    is wrong in a line that devices share is told once, with their number.
    """
    told = {(file, pointer) for file, pointers in damaged.items() for pointer in pointers}
    places: dict[tuple[str, str, bool], list[Finding]] = {}
    for finding in findings:
        if (finding.file, finding.pointer) not in told:
            places.setdefault((finding.file, finding.pointer, finding.warning), []).append(finding)
    return [_counted(found) for found in places.values()]


def _counted(found: list[Finding]) -> Finding:
    first = found[0]
    if first.device is None or not first.message:
        return first
    number = len({finding.device for finding in found})
    where = f"on {first.device}" if number == 1 else f"on {number:,} devices, such as {first.device}"
    return replace(first, message=f"{first.message} ({where})")


def locate(findings: Iterable[Finding], paths: Mapping[str, Path | str]) -> list[Problem]:
    """Each finding with its place. `paths` says where the files are whose names the findings use."""
    read: dict[str, tuple[Parsed, list[str]]] = {}

    def file(name: str) -> tuple[Parsed, list[str]]:
        from reconciler.inventory.yaml_core import parse

        if name not in read:
            text = load(paths[name], name) if name in paths else ""
            text = "" if isinstance(text, Problem) else text
            read[name] = parse(text, name, places=True), text.split("\n")
        return read[name]

    problems = []
    for finding in findings:
        parsed, lines = file(finding.file)
        place = _place(parsed, finding.pointer, at_key=finding.at_key)
        message = finding.message
        if finding.also is not None:
            name, where = finding.also
            message += f" {Source(name, *_place(file(name)[0], where))}"
        fix = finding.fix
        if finding.unquoted and (raw := parsed.raw.get(finding.pointer)):
            fix = f"write it in quotes: {quoted(raw)}"
        excerpt = "" if place.line > len(lines) else lines[place.line - 1]
        problems.append(Problem(finding.code, message, fix, Source(finding.file, *place), excerpt))
    return problems


def _place(parsed: Parsed, pointer: str, *, at_key: bool = False) -> Place:
    """Where `pointer` stands; for what is not there, where the nearest value around it does."""
    if at_key and pointer in parsed.keys:
        return parsed.keys[pointer]
    while pointer not in parsed.values and pointer:
        pointer = pointer.rpartition("/")[0]
    return parsed.values.get(pointer, Place(1, 1))

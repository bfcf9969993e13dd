"""Findings -> problems: where in the file, and the line itself. Only files with findings are read again."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.inventory.document import MORE, Finding
from reconciler.inventory.read import load
from reconciler.inventory.scalars import quoted
from reconciler.inventory.yaml_core import MAX_PROBLEMS, Parsed, Place, parse
from reconciler.model import Problem, Source


def capped(findings: Iterable[Finding]) -> list[Finding]:
    """At most MAX_PROBLEMS findings of each file, the first ones, and one more that says how many others there are."""
    kept: list[Finding] = []
    listed: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for finding in findings:
        if finding.message and listed[finding.file] < MAX_PROBLEMS:
            listed[finding.file] += 1
            kept.append(finding)
        else:
            others[finding.file] += 1
    for file, count in others.items():
        message = (
            f"{count:,} more problem{'' if count == 1 else 's'} of this file {'is' if count == 1 else 'are'} not listed"
        )
        kept.append(Finding(MORE, message, "correct these first; many may have one cause", file, ""))
    return kept


def news(findings: Iterable[Finding], damaged: Mapping[str, frozenset[str]]) -> list[Finding]:
    """The findings that say something new: not about a value whose problem is told already.

    `damaged` is by file. The order decides: what is wrong with a serial comes before what the schema thinks of it.
    """
    told = {(file, pointer) for file, pointers in damaged.items() for pointer in pointers}
    new = {(finding.file, finding.pointer): finding for finding in reversed(list(findings))}
    return [finding for where, finding in reversed(new.items()) if where not in told]


def locate(findings: Iterable[Finding], paths: Mapping[str, Path]) -> list[Problem]:
    """Each finding with its place. `paths` says where the files are whose names the findings use."""
    read: dict[str, tuple[Parsed, list[str]]] = {}

    def file(name: str) -> tuple[Parsed, list[str]]:
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

"""Problems as text for people and as a document for programs."""

import unicodedata
from collections.abc import Iterator, Sequence

from reconciler.model import Json, Problem
from reconciler.printable import printable

FORMAT_VERSION = 1
_FEW = 3
"""So many with one fix are told whole, each by itself."""
_WIDTH = 100
"""Cells of a source line that are shown around its place."""
_TAB = "    "


def text(problems: Sequence[Problem]) -> str:
    """Every problem with its place, the line it is on, a caret under the place, and the way out; then their number.

    Where more than a few have one fix, all of them stand with the first: one line each, and the fix once.
    Nothing in a file can move the cursor or colour the terminal: what is not printable is shown escaped.
    """
    lines = _lines(problems)
    files = len({problem.source.file for problem in problems})
    return "\n".join([*lines, f"{_counted(len(problems), 'problem')} in {_counted(files, 'file')}."])


def warnings(problems: Sequence[Problem]) -> str:
    """The same for what may stay as it is for now."""
    lines = _lines(problems, "warning: ")
    return "\n".join([*lines, f"{_counted(len(problems), 'warning')}."])


def valid(devices: int, files: int, layers: int = 0) -> str:
    """The one line to say when nothing is wrong."""
    verb = "is" if devices == 1 else "are"
    above = f", under {_counted(layers, 'layer')}" if layers else ""
    return f"{_counted(devices, 'device')} in {_counted(files, 'file')} {verb} valid{above}."


def document(
    problems: Sequence[Problem], warned: Sequence[Problem] = (), *, devices: int, files: int
) -> dict[str, Json]:
    """What `validate --format json` prints: `schemas/validate.schema.json` says what it holds."""
    return {
        "format_version": FORMAT_VERSION,
        "valid": not problems,
        "devices": devices,
        "files": files,
        "problems": [_problem(problem) for problem in problems],
        "warnings": [_problem(problem) for problem in warned],
    }


def _problem(problem: Problem) -> dict[str, Json]:
    return {
        "code": problem.code,
        "message": problem.message,
        "fix": problem.fix,
        "file": problem.source.file,
        "line": problem.source.line,
        "column": problem.source.column,
    }


def _lines(problems: Sequence[Problem], kind: str = "") -> Iterator[str]:
    alike: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.code, problem.fix), []).append(problem)
    for problem in problems:
        group = alike[problem.code, problem.fix]
        if len(group) <= _FEW:
            yield from _told([problem], kind)
        elif problem is group[0]:
            yield from _told(group, kind)


def _told(alike: Sequence[Problem], kind: str) -> Iterator[str]:
    first, *others = alike
    yield _headline(first, kind)
    if first.excerpt.strip():
        shown, offset = _window(first.excerpt, first.source.column - 1)
        number = str(first.source.line)
        yield f"  {number} | {shown}"
        yield f"  {' ' * len(number)} | {' ' * offset}^"
    yield from (_headline(other, kind) for other in others)
    yield f"  fix{f', for all {len(alike):,}' if others else ''}: {printable(first.fix)}"
    yield ""


def _headline(problem: Problem, kind: str) -> str:
    return printable(f"{problem.source}: {kind}{problem.message} [{problem.code}]")


def _window(line: str, index: int) -> tuple[str, int]:
    """The part of `line` around `index`, as it is shown, and how many cells stand before that place."""
    index = min(index, len(line))
    begin = max(0, index - _WIDTH // 2) if len(line) > _WIDTH else 0
    end = begin + _WIDTH
    before = ("…" if begin else "") + _shown(line[begin:index])
    return before + _shown(line[index:end]) + ("…" if end < len(line) else ""), _cells(before)


def _shown(part: str) -> str:
    return printable(part.replace("\t", _TAB))


def _cells(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    joined = sum(unicodedata.category(c) in {"Mn", "Me"} for c in text)
    return len(text) + wide - joined


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

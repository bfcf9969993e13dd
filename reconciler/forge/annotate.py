"""Annotations on the lines of a pull request, as commands for the runner of GitHub Actions."""

from collections.abc import Iterable, Sequence
from typing import Literal

from reconciler.codes import CODES
from reconciler.model import Problem, Source
from reconciler.printable import printable

AT_MOST = 10
"""Annotations of one level that GitHub shows of a step; three levels stay below its 50 of a job."""

Level = Literal["error", "warning", "notice"]


def annotations(problems: Iterable[Problem], *, level: Level = "error") -> str:
    """One workflow command per problem. Nothing in a file can begin a command of its own or end one early."""
    return "\n".join(
        annotation(
            level,
            problem.source,
            f"{problem.code} {CODES[problem.code]}",
            f"{printable(problem.message)}\nfix: {printable(problem.fix)}",
        )
        for problem in problems
    )


def few_annotations(lines: Sequence[str], *, level: Level, what: str) -> str:
    """The annotations, one a line: those that GitHub would show, and one that says how many more there are."""
    shown = lines if len(lines) <= AT_MOST else lines[: AT_MOST - 1]
    more = len(lines) - len(shown)
    rest = (
        [annotation(level, None, f"{more:,} more", f"{more:,} more {what}: see the summary of this run")]
        if more
        else []
    )
    return "\n".join([*shown, *rest])


def annotation(level: Level, source: Source | None, title: str, text: str) -> str:
    """A workflow command. Line breaks in `text` are kept as such, and whatever else is in it is shown."""
    place = {"file": source.file, "line": str(source.line), "col": str(source.column)} if source else {}
    properties = ",".join(f"{name}={_property(value)}" for name, value in {**place, "title": title}.items())
    return f"::{level} {properties}::{_data(chr(10).join(map(printable, text.split(chr(10)))))}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(printable(value)).replace(":", "%3A").replace(",", "%2C")

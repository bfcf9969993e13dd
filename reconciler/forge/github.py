"""GitHub Actions: problems as annotations on the lines of a pull request."""

from collections.abc import Iterable
from typing import Literal

from reconciler.codes import CODES
from reconciler.model import Problem
from reconciler.printable import printable


def annotations(problems: Iterable[Problem], *, level: Literal["error", "warning"] = "error") -> str:
    """One workflow command per problem. Nothing in a file can begin a command of its own or end one early."""
    return "\n".join(_annotation(problem, level) for problem in problems)


def _annotation(problem: Problem, level: str) -> str:
    place = {
        "file": problem.source.file,
        "line": str(problem.source.line),
        "col": str(problem.source.column),
        "title": f"{problem.code} {CODES[problem.code]}",
    }
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
    return f"::{level} {properties}::{_data(printable(problem.message))}%0Afix: {_data(printable(problem.fix))}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(printable(value)).replace(":", "%3A").replace(",", "%2C")

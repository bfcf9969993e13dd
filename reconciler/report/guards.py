"""What the guards found, passed or not: part of every plan."""

import textwrap
from collections.abc import Iterator, Sequence

from click import style

from reconciler.model import GuardCheck
from reconciler.printable import printable

WIDTH = 120
QUIET = frozenset({"lifecycle", "on_removed.field", "unknown", "server"})
"""Rules that have nothing to say to people while they pass."""
COUNTED = frozenset({"max_changed", "max_released", "max_adopted"})
"""Rules whose count stands in the summary: they have something to add only where there is a limit."""


def guards_text(checks: Sequence[GuardCheck]) -> Iterator[str]:
    """A line or two: the rules that refuse, and what the others measured; every rule is in the JSON and in Markdown."""
    if not checks:
        return
    refusing = [check.rule for check in checks if not check.passed]
    heard = [
        printable(check.message)
        for check in checks
        if check.passed and check.rule not in QUIET and not (check.rule in COUNTED and check.limit is None)
    ]
    refused = [f"refused by {', '.join(refusing)}"] if refusing else []
    # A part is never broken inside: its blanks are hidden from the wrapping.
    parts = [part.replace(" ", "\0") for part in (*refused, *heard)]
    lines = textwrap.wrap("Guards:\0" + " · ".join(parts), WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = [line for line in lines if line != "·"]  # a part that fills its line leaves it one of its own
    for number, line in enumerate(lines):
        text = line.replace("\0", " ").removeprefix("· ").removesuffix(" ·")
        if number == 0:
            yield style("Guards:", bold=True) + text.removeprefix("Guards:")
        else:
            yield f"  {text}"


def verdict(checks: Sequence[GuardCheck]) -> str:
    """How many refuse, or that all pass."""
    refusing = sum(not check.passed for check in checks)
    return f"{refusing} of {len(checks)} refuse" if refusing else f"all {len(checks)} pass"


def refusals_text(checks: Sequence[GuardCheck]) -> Iterator[str]:
    """Each rule that refuses, with its reason and what to do about it."""
    for check in checks:
        if not check.passed:
            yield f"{style('refused', fg='red', bold=True)} by {check.rule}: {printable(check.message)}"
            yield f"  {printable(check.override)}"


def guards_table(checks: Sequence[GuardCheck]) -> Iterator[str]:
    """Each rule on a line of its own, for a fence that colours `+` and `-`; below one that refuses, what to do."""
    width = max((len(check.rule) for check in checks), default=0)
    for check in checks:
        yield f"{'+' if check.passed else '-'} {check.rule:{width}}  {printable(check.message)}"
        if not check.passed:
            yield f"  {' ' * width}  {printable(check.override)}"

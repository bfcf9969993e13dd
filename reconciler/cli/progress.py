"""How far an apply is: a bar on a terminal, a line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from reconciler.cli import Globals
from reconciler.model import Applied, Outcome

EVERY = 10.0
"""Seconds between two lines."""


@contextmanager
def progress(given: Globals, total: int) -> Iterator[Callable[[Outcome], None]]:
    """A function to call with each outcome, in any order. Nothing with --quiet, nor where each request has its line."""
    if given.verbosity != 0:
        yield lambda _: None
    elif sys.stderr.isatty():
        yield from _bar(total)
    else:
        yield lines(total, time.monotonic)


def _bar(total: int) -> Iterator[Callable[[Outcome], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("applying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[other]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, other="")
        other = 0

        def show(outcome: Outcome) -> None:
            nonlocal other
            other += not isinstance(outcome, Applied)
            bar.update(task, advance=1, other=f"{other} not applied" if other else "")

        yield show


def lines(total: int, clock: Callable[[], float]) -> Callable[[Outcome], None]:
    """A function that says on stderr, every ten seconds of `clock`, how far it is and about how long it will take."""
    began = last = clock()
    done = other = 0

    def show(outcome: Outcome) -> None:
        nonlocal last, done, other
        done += 1
        other += not isinstance(outcome, Applied)
        now = clock()
        if now - last >= EVERY:
            last = now
            left = (total - done) * (now - began) / done
            click.echo(f"{done:,} of {total:,} devices, {other:,} not applied, about {left:.0f} s left", err=True)

    return show

"""How far a run is, once it takes longer than a moment: a bar on a terminal, a line every ten seconds elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, ClassVar, Protocol

import click

from reconciler.watch import SILENT, Advance, Watch

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar

MINUTES = 120.0
"""Seconds from which on they are told as minutes."""
SOON, ENOUGH = 30.0, 0.01
"""In the first seconds of a stage, what is left is told only once this share is done: its beginning says little."""


@dataclass(slots=True)
class Stage:
    """One stage on its way. `began` is in seconds of the clock that `said` is asked by."""

    name: str
    total: int | None
    unit: str
    began: float
    done: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def advance(self, more: int) -> None:
        """So many more are done."""
        self.done += more

    def said(self, now: float) -> str:
        """How far it is: `40 of 2,000 devices, 4.0/s, 1 not applied, 3 retried, about 8 min left`."""
        elapsed = now - self.began
        unit = self.unit.removesuffix("s") if self.total == 1 else self.unit
        if not self.done:
            started = f"{self.total:,} {unit}" if self.total else ""
        else:
            started = f"{self.done:,}{f' of {self.total:,}' if self.total else ''} {unit}"
        rate = self.done / elapsed if elapsed > 0 else 0.0
        parts = [started.strip() or f"{elapsed:.0f} s"]
        parts += [f"{rate:,.1f}/s"] if rate else []
        parts += [f"{number:,} {what}" for what, number in self.counts.items()]
        telling = self.total and rate and (elapsed >= SOON or self.done >= ENOUGH * self.total)
        if self.total and telling and (left := max(0.0, self.total - self.done) / rate) >= 1:
            parts.append(f"about {left / 60:.0f} min left" if left >= MINUTES else f"about {left:.0f} s left")
        return ", ".join(parts)


class Progress(Watch):
    """Keeps the stages that are on their way, the innermost last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """One more, until it ends."""
        self.stages.append(Stage(name, total, unit, self._clock()))
        try:
            yield self.stages[-1].advance
        finally:
            self.stages.pop()

    def count(self, what: str, more: int = 1) -> None:
        """Count it in the innermost stage."""
        if self.stages:
            counts = self.stages[-1].counts
            counts[what] = counts.get(what, 0) + more


class Display(Protocol):
    """Where a stage is shown: for the first time `after` so many seconds, then `every` so many."""

    after: ClassVar[float]
    every: ClassVar[float]

    def show(self, stage: Stage, now: float) -> None:
        """The present stage."""
        ...

    def end(self) -> None:
        """Nothing is shown any more."""
        ...


class Lines:
    """A line on stderr every ten seconds."""

    after: ClassVar[float] = 10.0
    every: ClassVar[float] = 10.0

    def show(self, stage: Stage, now: float) -> None:
        """A line of its own."""
        click.echo(f"{stage.name}: {stage.said(now)}", err=True)

    def end(self) -> None:
        """The lines stay."""


class Bar:
    """One line at the bottom of the terminal, which is gone in the end."""

    after: ClassVar[float] = 1.0
    every: ClassVar[float] = 0.125

    def __init__(self) -> None:
        self._bar: RichBar | None = None

    def show(self, stage: Stage, now: float) -> None:
        """Put the stage into the line."""
        if self._bar is None:
            self._bar = _bar()
            self._bar.add_task("", said="")
            self._bar.start()
        [task] = self._bar.task_ids
        self._bar.update(
            task, description=stage.name, completed=stage.done, total=stage.total or None, said=stage.said(now)
        )
        self._bar.refresh()

    def end(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.stop()


def _bar() -> "RichBar":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    return Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False, redirect_stdout=False)


@contextmanager
def progress(verbosity: int) -> Iterator[Watch]:
    """What shows the stages of a run until this ends. Nothing with --quiet, nor where each request has its line."""
    if verbosity != 0:
        yield SILENT
    else:
        watch = Progress(time.monotonic)
        with shown(watch, Bar() if sys.stderr.isatty() else Lines(), time.monotonic):
            yield watch


@contextmanager
def shown(watch: Progress, display: Display, clock: Callable[[], float]) -> Iterator[None]:
    """Show what `watch` keeps, from a thread of its own: a stage that hangs is shown, too."""
    over = Event()

    def show() -> None:
        wait = display.after
        while not over.wait(wait):
            wait = display.every
            stages = watch.stages[-1:]
            if stages:
                with _DRAWING:
                    display.show(stages[0], clock())

    thread = Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        try:
            thread.join()
        finally:
            display.end()


_DRAWING = Lock()
"""Held while a thread draws, and while the process forks: a child must not inherit a lock that nobody will release."""
os.register_at_fork(before=_DRAWING.acquire, after_in_parent=_DRAWING.release, after_in_child=_DRAWING.release)

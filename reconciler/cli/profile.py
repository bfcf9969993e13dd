"""Where the time of a run went, as the trace events that chrome://tracing, Perfetto and speedscope read.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: complete events, in microseconds.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from reconciler.errors import ReconcilerError
from reconciler.watch import Advance, Watch

START = "start-up"


class Profile(Watch):
    """Keeps when each stage began and ended, and what it counted. Begins when the process did.

    That is as long ago as the CPU seconds it has used: until now it has done little but load modules.
    """

    def __init__(self) -> None:
        self._began = time.monotonic() - time.process_time()
        self._pid = os.getpid()
        self._events: list[dict[str, Any]] = []
        self._open: list[dict[str, Any]] = []
        self._started = False

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """One event, whose `args` hold what was done, what was counted, and the CPU seconds of this process."""
        self._start()
        began, cpu, done = time.monotonic(), time.process_time(), 0
        counts: dict[str, Any] = {}

        def advance(more: int) -> None:
            nonlocal done
            done += more

        self._open.append(counts)
        try:
            yield advance
        finally:
            self._open.pop()
            found = {unit or "done": done} if done else {}
            found |= {"total": total} if total is not None else {}
            found |= counts | {"cpu_ms": round((time.process_time() - cpu) * 1000, 3)}
            self._add(name, began, time.monotonic(), self._pid, found)

    def took(self, name: str, began: float, seconds: float, pid: int) -> None:
        """One event of another process."""
        self._add(name, began, began + seconds, pid, {})

    def count(self, what: str, more: int = 1) -> None:
        """Into the event of the innermost stage."""
        if self._open:
            self._open[-1][what] = self._open[-1].get(what, 0) + more

    def document(self, command: str) -> dict[str, Any]:
        """The whole run up to now: its events in one that is called `command`, and names for the processes."""
        whole = self._event(command, self._began, time.monotonic(), self._pid, {})
        workers = {event["pid"] for event in self._events} - {self._pid}
        names = {self._pid: "reconciler"} | dict.fromkeys(sorted(workers), "worker")
        named = [_named(pid, name) for pid, name in names.items()]
        events = [whole, *reversed(self._events)]  # what ended last holds the others
        events.sort(key=_outermost_first)
        return {"traceEvents": [*named, *events], "displayTimeUnit": "ms"}

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._add(START, self._began, time.monotonic(), self._pid, {})

    def _add(self, name: str, began: float, ended: float, pid: int, found: dict[str, Any]) -> None:
        self._events.append(self._event(name, began, ended, pid, found))

    def _event(self, name: str, began: float, ended: float, pid: int, found: dict[str, Any]) -> dict[str, Any]:
        """Both ends are rounded alike, so that what lies in another event still does."""
        ts, end = (round((at - self._began) * 1e6) for at in (began, ended))
        event = {"name": name, "cat": "stage", "ph": "X", "ts": ts, "dur": end - ts, "pid": pid, "tid": pid}
        return event | {"args": found}


def _named(pid: int, name: str) -> dict[str, Any]:
    return {
        "name": "process_name",
        "cat": "__metadata",
        "ph": "M",
        "ts": 0,
        "pid": pid,
        "tid": pid,
        "args": {"name": name},
    }


def _outermost_first(event: dict[str, Any]) -> tuple[int, int, int]:
    return event["pid"], event["ts"], -event["dur"]


@contextmanager
def profiled(file: Path, command: str) -> Iterator[Profile]:
    """A profile that is in `file` when this ends, however it does.

    Raises ReconcilerError, before anything else is done, if nothing can be written there.
    """
    profile, stream = Profile(), _opened(file)
    try:
        yield profile
    finally:
        try:
            with stream:
                json.dump(profile.document(command), stream)
        except OSError as error:
            click.echo(f"warning: {file}: the profile is not whole: {error.strerror}", err=True)


def _opened(file: Path) -> TextIO:
    try:
        return file.open("w", encoding="utf-8")
    except OSError as error:
        raise ReconcilerError(f"{file}: the profile cannot be written: {error.strerror}; name another file") from None

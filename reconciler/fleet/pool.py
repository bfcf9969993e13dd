"""Surveys by several processes: each reads the layers once, then takes files by the handful.

Every process is started afresh (`spawn`), so that nothing of this one is inherited but what it is given.
"""

import errno
import gc
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, TypeAlias

from reconciler.errors import LIMITS, ReconcilerError
from reconciler.fleet.held import held
from reconciler.fleet.survey import Survey, Surveyor, Terms
from reconciler.interrupt import ENDING, uninterrupted

AHEAD = 3
"""Handfuls under way for each process: what is done sooner than it is taken takes memory."""


def processes(wanted: int) -> int:
    """How many to use: as many as are `wanted`, or if that is 0 as this process may use processors."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return wanted or there


Done: TypeAlias = tuple[Survey, float, float, int]
"""A survey; when it began (`time.monotonic`), how many seconds it took, and which process."""


def surveys(terms: Terms, copy: Path | None, handfuls: Sequence[Sequence[str]]) -> Iterator[Done]:
    """The survey of each handful of files, in their order, beside `copy` (held.py) of the snapshot if there is one."""
    number, begun = processes(terms.settings.processes), _Begun()
    try:
        with uninterrupted():  # it begins a process, too
            pool = ProcessPoolExecutor(number, begun, _begin, (terms, copy))
    except OSError as error:
        if error.errno in LIMITS:
            raise
        raise ReconcilerError(
            f"several processes cannot work together here, which takes a writable /dev/shm: {error.strerror};"
            " nothing was changed; make it so, or use one process (the setting `processes`)"
        ) from None
    waiting: deque[Future[Done]] = deque()
    try:
        for handful in handfuls:
            with uninterrupted(), _without_main():
                try:
                    waiting.append(pool.submit(_look, handful))
                except BrokenProcessPool:
                    raise
                except RuntimeError as error:  # what Python makes of a limit on threads
                    raise OSError(errno.EAGAIN, str(error)) from error
            if len(waiting) >= AHEAD * number:
                yield begun.result(waiting.popleft())
        while waiting:
            yield begun.result(waiting.popleft())
    except BaseException as error:
        begun.kill()
        with suppress(RuntimeError):  # of a thread that never began
            pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool) and not error.__cause__:  # the cause is what it could not tell us
            raise ReconcilerError(
                "a process that was reading the inventory was killed, perhaps for want of memory; nothing was changed;"
                " run again, with fewer processes (the setting `processes`)"
            ) from None
        raise
    pool.shutdown(wait=False)


class _Begun(SpawnContext):
    """Begins processes, and remembers them: one that hangs, on a disk that does not answer, must not be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._processes: list[SpawnProcess] = []

    def Process(self, *args: Any, **given: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802, ANN401
        """One more."""
        self._processes.append(SpawnProcess(*args, **given))
        return self._processes[-1]

    def SimpleQueue(self) -> "SimpleQueue[Any]":  # noqa: N802
        """Where the pool hears of what was done."""
        self._results = super().SimpleQueue()
        return self._results

    def result(self, future: Future[Done]) -> Done:
        """What came of it. Raises BrokenProcessPool if one of them ended: the pool may not have heard, see `kill`."""
        while not wait([future], timeout=1).done:
            if any(process.pid is not None and process.exitcode is not None for process in self._processes):
                raise BrokenProcessPool
        return future.result()

    def kill(self) -> None:
        """They only read.

        Who is killed while it writes a result leaves half of one: as long as we hold that end ourselves, the thread
        that waits for the other half hears of no end, and Python waits for the thread.
        """
        self._results._writer.close()  # type: ignore[attr-defined]  # noqa: SLF001 - no other name for it
        for process in self._processes:
            if process.pid is not None:  # it has begun
                process.kill()


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that begins here does not run again the script that called us, which may not be made for that."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


_surveyor: Surveyor


def _begin(terms: Terms, copy: Path | None) -> None:
    global _surveyor  # noqa: PLW0603 - what a process of the pool has in place of arguments
    for number in (signal.SIGINT, signal.SIGHUP):  # the process that asks is interrupted, and then asks no more
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    Thread(target=_end_with_who_asks, daemon=True).start()
    _surveyor = Surveyor(terms, partial(held, copy) if copy else None)
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)  # a handful is gone before it is worth a look


def _end_with_who_asks() -> None:
    """Or whoever is killed would leave us waiting for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _look(files: Sequence[str]) -> Done:
    began = time.monotonic()
    survey = _surveyor.look(files)
    return survey, began, time.monotonic() - began, os.getpid()

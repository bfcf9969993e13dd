"""Ctrl-C: KeyboardInterrupt while a command runs, and nothing but the end of the process once it has."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reconciler.interrupt import ONCE

SOON = 0.01
"""Seconds until a signal that came in the middle of an import is sent again, to whoever handles it by then."""


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in here; afterwards they end the process without a word.

    Where Python cannot raise it (in what the garbage collector calls), it would be printed and forgotten: there it ends
    the process, too, which a run survives like any crash. What was ignored stays so, SIGTERM aside. A second signal
    spares what the first one left to put in order, in here and afterwards, for `ONCE`; then it ends that, too.
    """
    struck: list[float] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _importing(frame):  # an extension in C that cannot finish loading panics
            signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(number))
            signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        struck.append(time.monotonic())
        if len(struck) == 1:
            raise KeyboardInterrupt
        if struck[-1] - struck[0] > ONCE:
            _end()

    heard = (number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN)
    numbers = [signal.SIGTERM, *heard]
    sys.unraisablehook = _unraisable
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in numbers if not struck else ():
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _end()
    sys.__unraisablehook__(unraisable)


def _end() -> None:
    os.write(2, b"interrupted\n")
    os._exit(130)

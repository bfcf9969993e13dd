"""What must not be interrupted in its midst."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a run."""

ONCE = 1.0
"""Seconds for which a signal is taken for the one before: a terminal tells us, and so does the program that runs us."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that would end the run strike after the block, which is to be a short one.

    A process that begins in it inherits the mask: it would print where it was. The mask does not spare us: the signal
    may reach another thread, and Python handles it in this one.
    """
    if current_thread() is not main_thread():
        yield
        return
    struck: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: struck.append(number)) for number in ENDING}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if struck:
            signal.raise_signal(struck[0])

"""Ctrl-C: KeyboardInterrupt while a command runs, and nothing but the end of the process once it has."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt in here; afterwards they end the process without a word.

    Where Python cannot raise it (in what a garbage collector or an import calls), it would be printed and forgotten:
    there it ends the process, too, which a run survives like any crash. SIGINT that was ignored stays ignored.
    """
    numbers = [signal.SIGTERM, *([signal.SIGINT] if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN else [])]
    sys.unraisablehook = _unraisable
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__


def _unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        os.write(2, b"interrupted\n")
        os._exit(130)
    sys.__unraisablehook__(unraisable)

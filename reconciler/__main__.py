"""The command `reconciler`, and `python -m reconciler`: the first of us to run, and quick about it."""

import os
import sys

from reconciler import __version__


def main() -> int:
    """Run the command, and return its documented exit code. Ctrl-C ends it without a traceback, however early."""
    if sys.argv[1:] == ["--version"]:  # what scripts and editors ask all the time: without click, 40 ms of imports
        try:
            os.write(1, f"reconciler {__version__}\n".encode())
        except OSError:
            pass  # below it is told why
        else:
            return 0
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has us ignore it
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # while modules load: there is nothing yet to put in order
        from reconciler.cli import run

        return run()
    except KeyboardInterrupt:
        os.write(2, b"interrupted\n")
        os._exit(130)  # at once: the end of Python can be interrupted, too


if __name__ == "__main__":
    sys.exit(main())

"""Ctrl-C at any instant: an end without a traceback, and soon."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import COMMAND, Declare, clean_environ

import reconciler

PACKAGE = str(Path(reconciler.__file__).parent)


def interrupted(folder: Path, arguments: list[str], step: float) -> Iterator[tuple[int, str]]:
    """Exit code and stderr of one run after the other, until one ends before its turn comes.

    Each is interrupted `step` seconds later than the one before.
    """
    for number in range(1, 200):
        process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=folder,
            env=clean_environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            process.wait(number * step)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        else:
            process.communicate()
            return
        _, stderr = process.communicate(timeout=20)
        yield process.returncode, stderr
    pytest.fail("the command never came to its end")


@pytest.mark.parametrize(
    ("arguments", "step"), [(["--help"], 0.003), (["plan"], 0.011), (["apply", "--auto-approve"], 0.023)]
)
def test_an_interrupt_at_any_instant_leaves_no_traceback_of_ours(
    arguments: list[str], step: float, declare: Declare, tmp_path: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    endings: Counter[int] = Counter()
    for code, stderr in interrupted(tmp_path, arguments, step):
        endings[code] += 1
        assert PACKAGE not in stderr, stderr  # Python's own start has tracebacks of its own
        assert "Exception ignored" not in stderr
        assert "panicked" not in stderr
        assert stderr.endswith("interrupted\n") or code != 130

    assert endings[130] + endings[-signal.SIGINT] >= 1, endings


def test_an_interrupt_during_an_import_waits_for_its_end(tmp_path: Path) -> None:
    """Extensions in C panic if what they import is interrupted."""
    (tmp_path / "slow.py").write_text(
        "import os, signal\nfor _ in range(3): os.kill(os.getpid(), signal.SIGINT)\nprint('loaded', flush=True)\n"
    )
    code = (
        "from time import sleep\nfrom reconciler.cli.interrupt import interruptible\n"
        "try:\n  with interruptible():\n    import slow\n    sleep(60)\nexcept KeyboardInterrupt: print('interrupted')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=30, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "loaded\ninterrupted\n", "")


def test_an_interrupt_that_python_would_print_and_forget_ends_the_process(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nfrom reconciler.cli.interrupt import interruptible\n"
        "class Thing:\n  def __del__(self): os.kill(os.getpid(), signal.SIGINT)\n"
        "with interruptible():\n  Thing()\n  time.sleep(60)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=30, check=False
    )

    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_an_interrupt_that_the_shell_has_us_ignore_stays_ignored(declare: Declare, tmp_path: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    code = f"trap '' INT; '{COMMAND}' plan & sleep 0.1; kill -INT $!; wait $!"
    done = subprocess.run(
        ["bash", "-c", code],
        cwd=tmp_path,
        env=clean_environ(),
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "1 to adopt" in done.stdout

"""Ctrl-C at any instant: an end without a traceback, and soon."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import Popen

import pytest
from conftest import COMMAND, Declare, clean_environ

import reconciler

PACKAGE = str(Path(reconciler.__file__).parent)
BEFORE = "__main__.py"
"""Where an interrupt strikes that came while Python itself was starting, which has tracebacks of its own."""


POINTS = [number / 31 for number in range(1, 31)]
"""Parts of the time that a run takes."""


def due(start: Callable[[], Popen[str]], points: Sequence[float]) -> Iterator[Popen[str]]:
    """For each of `points` a run whose turn to be interrupted has come; none that ended before its turn.

    Such a one tells anew how long a run takes: those before it had more beside them.
    """
    began = time.monotonic()
    start().communicate(timeout=60)
    whole = time.monotonic() - began
    for point in points:
        began = time.monotonic()
        process = start()
        try:
            process.wait(whole * point)
        except subprocess.TimeoutExpired:
            yield process
        else:
            whole = time.monotonic() - began
            process.communicate()


@pytest.mark.parametrize("arguments", [["--help"], ["plan"], ["apply", "--auto-approve"]])
def test_an_interrupt_at_any_instant_leaves_no_traceback_of_ours(
    arguments: list[str], declare: Declare, tmp_path: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    endings: Counter[int] = Counter()
    for process in due(lambda: _started(tmp_path, arguments, stderr=subprocess.PIPE), POINTS):
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
        endings[process.returncode] += 1
        assert set(re.findall(rf'File "{re.escape(PACKAGE)}/([^"]+)"', stderr)) <= {BEFORE}, stderr
        assert "panicked" not in stderr
        assert stderr.endswith("interrupted\n") or process.returncode != 130

    assert endings[130] + endings[-signal.SIGINT] >= len(POINTS) / 3, endings


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_run_over_a_fleet_uses_no_second_more_wherever_it_is_interrupted(
    command: str, declare: Declare, tmp_path: Path
) -> None:
    """Seconds of CPU, lest other processes count: what Python cannot interrupt is a call into C, and uses it."""
    for site in range(10):
        devices = [f"- {{serial_number: AP-{site}-{number}, status: active}}" for number in range(300)]
        declare(f"site-{site}.yaml", "devices:\n" + "\n".join(devices) + "\n")
    assert _started(tmp_path, [command]).wait(60) == 0
    endings: Counter[int] = Counter()
    for process in due(lambda: _started(tmp_path, [command]), (0.3, 0.45, 0.6, 0.75, 0.9)):
        used = _cpu(process.pid)
        os.kill(process.pid, signal.SIGINT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert usage.ru_utime + usage.ru_stime - used < 1
        endings[process.returncode] += 1

    assert endings[130] >= 1, endings


def _started(folder: Path, arguments: list[str], stderr: int = subprocess.DEVNULL) -> Popen[str]:
    return Popen(
        [COMMAND, *arguments],
        cwd=folder,
        env={**clean_environ(), "PYTHONWARNINGS": ""},  # which tell of every file that an interrupt leaves open
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        encoding="utf-8",
    )


def _cpu(pid: int) -> float:
    """Seconds that a process has used up to now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def test_an_interrupt_during_an_import_at_the_very_end_strikes_nobody(tmp_path: Path) -> None:
    (tmp_path / "last.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = (
        "from time import sleep\nfrom reconciler.cli.interrupt import interruptible\n"
        "with interruptible():\n  import last\nsleep(0.1)\nprint('ended')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=30, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


@pytest.mark.parametrize(("pause", "out"), [(0.0, "in order\n"), (1.2, "")])
def test_an_interrupt_that_comes_twice_spares_the_end_unless_that_takes_long(pause: float, out: str) -> None:
    code = (
        "import os, signal\nfrom time import sleep\nfrom reconciler.cli.interrupt import interruptible\n"
        "def strike(): os.kill(os.getpid(), signal.SIGINT)\n"
        "try:\n  with interruptible():\n"
        f"    try:\n      strike()\n      sleep(60)\n    finally:\n      sleep({pause})\n      strike()\n"
        "      print('in order', flush=True)\n"
        "except KeyboardInterrupt: os.write(2, b'interrupted\\n'); os._exit(130)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=30, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, out, "interrupted\n")


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
    strikes = "n=0; while kill -INT $! 2>/dev/null; do n=$((n + 1)); sleep 0.02; done; echo $n strikes"
    code = f"trap '' INT; '{COMMAND}' plan & {strikes}; wait $!"
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
    assert int(done.stdout.splitlines()[-1].removesuffix(" strikes")) > 1

"""What one run of a program costs, as the kernel counted it."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeAlias

Command: TypeAlias = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on all cores, seconds on the wall, and the largest resident set of any one of its processes in MiB."""

    cpu: float
    wall: float
    memory: float


def cost(
    command: Command,
    *,
    cwd: Path,
    says: Sequence[str],
    environ: Mapping[str, str] | None = None,
    pinned: bool = False,
) -> Cost:
    """Run `command` once, on one core if `pinned`, with all processes that it starts.

    Raises RuntimeError if it fails or does not say all of `says`: it did something else.
    """
    with TemporaryFile("w+", encoding="utf-8") as output, _on_one_core(pinned):
        begun = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | dict(environ or {}),
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode != 0 or not all(word in text for word in says):
        raise RuntimeError(
            f"{' '.join(map(str, command))} ended with {child.returncode} and does not say {says}: {text[-2000:]}"
        )
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


@contextmanager
def _on_one_core(pinned: bool) -> Iterator[None]:  # noqa: FBT001 - as `cost` was asked
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)} if pinned else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def median(costs: Sequence[Cost]) -> Cost:
    """The run in the middle by CPU seconds."""
    return sorted(costs, key=lambda one: one.cpu)[len(costs) // 2]


def machine(*packages: str) -> str:
    """What figures depend on: processor, system, and the versions of what does the work."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    git = subprocess.run(["git", "--version"], capture_output=True, encoding="utf-8", check=True).stdout.split()[2]
    cores = f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, {platform.system()}"
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{cores}, Python {platform.python_version()}, git {git}, {versions}"

"""What one run of a program costs, as the kernel counted it."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Command: TypeAlias = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on all cores, seconds on the wall, and the largest resident set in MiB."""

    cpu: float
    wall: float
    memory: float


def cost(command: Command, *, cwd: Path, says: Sequence[str], environ: Mapping[str, str] | None = None) -> Cost:
    """Run `command` once. Raises RuntimeError if it fails or does not say all of `says`: it did something else."""
    with (cwd / "output.txt").open("w+") as output:
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
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {child.returncode}: {text[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def median(costs: Sequence[Cost]) -> Cost:
    """The run in the middle by CPU seconds."""
    return sorted(costs, key=lambda one: one.cpu)[len(costs) // 2]

"""An apply at 50 requests a second over a state in git whose every push takes a second longer.

`.venv/bin/python benchmarks/slow_push.py [DEVICES [SECONDS]]` prints how long it took beside the same with SQLite.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from reconciler.sandbox.server import Sandbox, running

COMMAND = Path(sys.executable).with_name("reconciler")


def main() -> None:
    """Apply the same fleet twice."""
    devices, delay = (*map(float, sys.argv[1:]), *(1000.0, 1.0)[len(sys.argv) - 1 :])
    serials = [f"AP-{number:05}" for number in range(int(devices))]
    print(f"{len(serials):,} devices at 50 requests a second: {len(serials) / 50:.0f} s at best")
    with running() as sandbox:
        for state in ("sqlite:state.db", "git:reconciler-state"):
            sandbox.clear()
            sandbox.seed(*serials)
            sandbox.faults("latency=100ms")
            with tempfile.TemporaryDirectory() as folder:
                print(f"{state}: {_applied(Path(folder), state, serials, delay, sandbox)} s")


def _applied(place: Path, state: str, serials: list[str], delay: float, sandbox: Sandbox) -> str:
    for command in ("init --quiet --bare remote.git", "init --quiet work", "-C work remote add origin ../remote.git"):
        subprocess.run(["git", *command.split()], cwd=place, check=True)
    hook = place / "remote.git" / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nsleep {delay}\n")
    hook.chmod(0o755)
    (place / "work" / "inventory").mkdir()
    fleet = {"devices": [{"serial_number": serial, "status": "active"} for serial in serials]}
    (place / "work" / "inventory" / "fleet.yaml").write_text(json.dumps(fleet))
    (place / "work" / "reconciler.toml").write_text(f'state = "{state}"\n[api]\nrate_per_second = 50\n')
    done = subprocess.run(
        [COMMAND, "apply", "--auto-approve"],
        cwd=place / "work",
        env={**os.environ, **sandbox.environ},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    [seconds] = re.findall(rf"{len(serials):,} applied in (\S+) s", done.stdout)
    return str(seconds)


if __name__ == "__main__":
    main()

"""The blocks of README.md that show real output: made by running the real commands. `--check` only compares."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from reconciler.sandbox.server import running

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMMAND = Path(sys.executable).with_name("reconciler")
LAPTOP = "inventory/laptops/conference-room.yaml"
SHOWN = 14
"""Lines of one command that are shown; the middle of a longer output is cut."""


def main() -> None:
    """Rewrite the blocks, or with --check exit with 1 if they differ in more than durations."""
    text = README.read_text(encoding="utf-8")
    made = text
    for name, lines in blocks().items():
        begin, end = f"<!-- begin: {name} -->", "<!-- end -->"
        head, _, rest = made.partition(begin)
        made = f"{head}{begin}\n```console\n{lines}\n```\n{end}{rest.partition(end)[2]}"
    if "--check" not in sys.argv[1:]:
        README.write_text(made, encoding="utf-8")
    elif _timeless(made) != _timeless(text):
        sys.exit("README.md does not show what the commands print; run: .venv/bin/python scripts/readme.py")


def blocks() -> dict[str, str]:
    """The text of every block, from a session in a temporary copy of the example fleet."""
    with tempfile.TemporaryDirectory() as folder, running() as sandbox:
        place = Path(folder)
        for name in ("inventory", "schemas"):
            shutil.copytree(ROOT / name, place / name)
        shutil.copy(ROOT / "reconciler.toml", place)
        sandbox.seed(*re.findall(r'serial_number: "?([\w.-]+)', "".join(map(_text, place.rglob("*.yaml")))))
        session = _Session(place, {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **sandbox.environ})
        first = session.shows("validate", "plan", "apply --auto-approve")
        session.edits("status: active", "status: maintenance")
        edit = session.shows("plan", "apply --auto-approve", "plan")
        session.edits("idle_reset_seconds: 60", "idle_reset_seconds: 90", file="inventory/kiosks/_defaults.yaml")
        shared = session.shows("plan", "explain E21C004502 configuration.screen_on")
        session.edits("status: maintenance", "status: maintenence")
        mistake = session.shows("validate")
        return {"first": first, "edit": edit, "shared": shared, "mistake": mistake, "help": session.shows("--help")}


class _Session:
    """Commands run one after the other in one folder."""

    def __init__(self, place: Path, environ: Mapping[str, str]) -> None:
        self._place = place
        self._environ = environ

    def shows(self, *commands: str) -> str:
        return "\n\n".join(f"$ reconciler {command}\n{self._output(command)}" for command in commands)

    def edits(self, before: str, after: str, *, file: str = LAPTOP) -> None:
        path = self._place / file
        path.write_text(_text(path).replace(before, after), encoding="utf-8")

    def _output(self, command: str) -> str:
        done = subprocess.run(
            [COMMAND, *command.split()],
            cwd=self._place,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            check=False,
        )
        lines = done.stdout.replace(f"{getpass.getuser()}@{socket.gethostname()}", "you@laptop").rstrip().splitlines()
        if command != "--help" and len(lines) > SHOWN:
            lines = [*lines[: SHOWN // 2], f"  ⋮ {len(lines) - SHOWN + 2} more lines", *lines[-(SHOWN // 2 - 2) :]]
        return "\n".join(lines)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _timeless(text: str) -> str:
    return re.sub(r"in \d+\.\d s|\d{4}-\d\d-\d\d \d\d:\d\dZ|run [0-9a-f]{12}", "…", text)


if __name__ == "__main__":
    main()

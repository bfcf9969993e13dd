"""What `validate` and a plan without changes cost for a large fleet, beside the least that is possible and the peers.

Rewrites the table in benchmarks/README.md. Everything it makes is in a temporary folder.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import fleet
import peers
from measure import Command, Cost, cost, median

ROOT = Path(__file__).resolve().parent.parent
README = Path(__file__).with_name("README.md")
RECONCILER = Path(sys.executable).with_name("reconciler")
SETTINGS = "[api]\nrate_per_second = 1000\nburst = 1000\n[guard]\nmax_changed_pct = 100\n"
READ_ALL = """
import hashlib, pathlib
total = hashlib.sha256()
for file in sorted(pathlib.Path("inventory").rglob("*.yaml")):
    total.update(file.read_bytes())
print(total.hexdigest())
"""


def main() -> None:
    """Measure, print, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3, help="of our own commands; the median counts")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="reconciler-bench-") as temporary:
        folder = Path(temporary)
        fleet.write(folder / "inventory", options.devices)
        (folder / "reconciler.toml").write_text(SETTINGS)
        rows = [*ours(folder, options.devices, options.runs), *_theirs(folder, options.devices)]
    table = _table(rows, options.devices, options.runs)
    print(table)
    begin, end = "<!-- measured -->", "<!-- /measured -->"
    text = README.read_text()
    README.write_text(re.sub(f"{begin}.*{end}", f"{begin}\n{table}\n{end}", text, flags=re.DOTALL))


def ours(folder: Path, devices: int, runs: int) -> Iterator[tuple[str, Cost]]:
    """What each of our own commands costs, run in `folder` with the fleet in it."""

    def measured(*command: str | Path, says: str) -> Cost:
        return median([cost(command, cwd=folder, says=(says,)) for _ in range(runs)])

    yield "read and hash every file, and nothing else", measured(sys.executable, "-c", READ_ALL, says="\n")
    yield "`reconciler --version`", measured(RECONCILER, "--version", says="reconciler")
    yield "**`reconciler validate`**", measured(RECONCILER, "validate", says=f"{devices:,} devices")
    with _sandbox(folder) as environ:
        command = (RECONCILER, "apply", "--auto-approve")
        once = cost(command, cwd=folder, says=(f"{devices:,} applied",), environ=environ)
    yield "`reconciler apply` of them all, once, to the sandbox on the same machine", once
    yield "**`reconciler plan`, nothing changed**", measured(RECONCILER, "plan", says="No changes")


@contextmanager
def _sandbox(folder: Path) -> Iterator[dict[str, str]]:
    command: Command = [RECONCILER, "--quiet", "sandbox", "--port", "0", "--seed-inventory", "inventory"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, encoding="utf-8") as server:
        exported: dict[str, str] = {}
        for line in server.stdout or ():
            exported.update(re.findall(r"export (\w+)=(\S+)", line))
            if "RECONCILER_TOKEN" in exported:
                break
        try:
            yield exported
        finally:
            server.terminate()


def _theirs(folder: Path, devices: int) -> Iterator[tuple[str, Cost]]:
    schema = ROOT / "schemas" / "device.schema.json"
    results = {
        "validate the same files": peers.check_jsonschema_validate(
            _fresh(folder / "check"), folder / "inventory", schema
        ),
        "plan as many DNS records, nothing changed": peers.octodns_no_op_plan(_fresh(folder / "octodns"), devices),
    }
    for job, result in results.items():
        if result:
            yield f"{result[0]}: {job}", result[1]


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _table(rows: list[tuple[str, Cost]], devices: int, runs: int) -> str:
    lines = [
        f"{devices:,} devices, one file each, sixteen values a device; median of {runs} runs (others: one run).",
        "",
        "| | CPU s | wall s | peak MiB |",
        "|---|---:|---:|---:|",
        *(f"| {name} | {one.cpu:.2f} | {one.wall:.2f} | {one.memory:.0f} |" for name, one in rows),
        "",
        machine("pyyaml", "jsonschema-rs", "deepdiff", "httpx"),
    ]
    return "\n".join(lines)


def machine(*packages: str) -> str:
    """When and on what this runs."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    cores = f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, {platform.system()}"
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores}, Python {platform.python_version()}, {versions}."


if __name__ == "__main__":
    main()

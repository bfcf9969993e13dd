"""What `apply` of a change to every device of a large fleet costs, beside the least that is possible.

The server (echo_server.py) is another process on this machine and answers at once, or after 20 ms. Rewrites the table
in benchmarks/README.md, and the one of targets in docs/performance.md. Everything it makes is in a temporary folder.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import fleet
from apply_once import CONCURRENCY
from commands import RECONCILER
from documents import PERFORMANCE, README
from measure import Command, Cost, machine, median

HERE = Path(__file__).parent
SETTINGS = f"""
[api]
rate_per_second = 100000
burst = 1000
concurrency = {CONCURRENCY}
concurrency_min = {CONCURRENCY}
[guard]
max_changed_pct = 100
"""
LATENCIES = {"answers at once": 0.0, "answers after 20 ms": 0.02}
KINDS = {
    "plain": "asyncio and nothing else: the same requests",
    "no-journal": "`apply` with a journal that writes nothing",
    "apply": "**`apply`**",
    "httpx": "httpx with a pool of 50: a tenth of the same requests",
}
"""In the order of the table."""
RATE, SHARE = 1_500, 0.8
"""Targets: devices a second; and of what the same transport does without a journal, where the server is at once."""


def main() -> None:
    """Measure, print, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3, help="of everything, in turns; the median counts")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="reconciler-bench-") as temporary:
        folder = Path(temporary)
        prepare(folder, options.devices)
        rows = list(measured(folder, options.devices, options.runs))
    for document, table in (
        (README, _table(rows, options.devices, options.runs)),
        (PERFORMANCE, "\n".join(verdicts(rows))),
    ):
        print(table)
        begin, end = "<!-- apply -->", "<!-- /apply -->"
        text = document.read_text()
        document.write_text(re.sub(f"{begin}.*{end}", f"{begin}\n{table}\n{end}", text, flags=re.DOTALL))


def prepare(folder: Path, devices: int) -> None:
    """A fleet that was applied, one field of each device changed since, and the plan of that: `plan.json`."""
    fleet.write(folder / "inventory", devices, per_file=fleet.DEVICES_PER_SITE)
    (folder / "reconciler.toml").write_text(SETTINGS)
    with serving(0.0) as port:
        environ = {"RECONCILER_BASE_URL": f"http://127.0.0.1:{port}/api/v1", "RECONCILER_TOKEN": "s3cr3t-t0ken"}
        _reconciler(folder, "apply", "--auto-approve", environ=environ)
        for file in (folder / "inventory").rglob("*.yaml"):
            file.write_text(re.sub(r"name: (?=\w)", "name: New ", file.read_text()))
        _reconciler(folder, "plan", "--out", "plan.json", environ=environ)
    shutil.copytree(folder / ".reconciler", folder / "before")


def measured(
    folder: Path, devices: int, runs: int, latencies: Mapping[str, float] = LATENCIES
) -> Iterator[tuple[str, str, int, Cost]]:
    """(latency, kind, devices, cost); everything once, and all that `runs` times over: each has its bad moments."""
    found: dict[tuple[str, str], list[Cost]] = {(latency, kind): [] for latency in latencies for kind in KINDS}
    for _ in range(runs):
        for (latency, kind), costs in found.items():
            with serving(latencies[latency]) as port:
                costs.append(_once(folder, kind, port))
    for (latency, kind), costs in found.items():
        yield latency, kind, devices // 10 if kind == "httpx" else devices, median(costs)


def _once(folder: Path, kind: str, port: int) -> Cost:
    shutil.rmtree(folder / ".reconciler")
    shutil.copytree(folder / "before", folder / ".reconciler")
    command: Command = [sys.executable, HERE / "apply_once.py", kind, str(port)]
    return Cost(**json.loads(subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout))


@contextmanager
def serving(latency: float) -> Iterator[int]:
    """The port of a server that answers after `latency` seconds."""
    command: Command = [sys.executable, HERE / "echo_server.py", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server:
        try:
            assert server.stdout is not None  # noqa: S101 - it is a pipe
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def _reconciler(folder: Path, *command: str, environ: dict[str, str]) -> None:
    done = subprocess.run([RECONCILER, *command], cwd=folder, env=environ, capture_output=True, check=False, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")


def verdicts(rows: list[tuple[str, str, int, Cost]]) -> Iterator[str]:
    """The targets, and what was measured."""
    yield from ("| `apply` of one field each, the server | target | measured | |", "|---|---|---:|---|")
    floors = {latency: cost.wall for latency, kind, _, cost in rows if kind == "no-journal"}
    for latency, kind, count, cost in rows:
        if kind == "apply":
            rate, share = count / cost.wall, floors[latency] / cost.wall
            yield f"| {latency} | ≥ {RATE:,} devices/s | {rate:,.0f} | {_verdict(met=rate >= RATE)} |"
            if not LATENCIES[latency]:
                yield f"| {latency} | ≥ {SHARE:.0%} of no journal | {share:.0%} | {_verdict(met=share >= SHARE)} |"


def _verdict(*, met: bool) -> str:
    return "met" if met else "**missed**"


def _table(rows: list[tuple[str, str, int, Cost]], devices: int, runs: int) -> str:
    floors = {latency: cost for latency, kind, _, cost in rows if kind == "no-journal"}
    lines = [
        f"{devices:,} devices, one changed field each, {CONCURRENCY} requests at a time; median of {runs} runs.",
        "",
        "| server | | CPU s | wall s | devices/s | of no journal | the same by CPU | peak MiB |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for latency, kind, count, cost in rows:
        floor, share = floors[latency], count / devices
        lines.append(
            f"| {latency} | {KINDS[kind]} | {cost.cpu:.2f} | {cost.wall:.2f} | {count / cost.wall:,.0f}"
            f" | {share * floor.wall / cost.wall:.0%} | {share * floor.cpu / cost.cpu:.0%} | {cost.memory:.0f} |"
        )
    return "\n".join([*lines, "", machine("httpx", "h11")])


if __name__ == "__main__":
    main()

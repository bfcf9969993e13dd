"""What a plan costs, for fleets of several sizes, beside the least that is possible and the same job done by peers.

Writes benchmarks/results.json, and from it the tables and the plot of benchmarks/README.md and docs/performance.md. A
fleet that is not measured now keeps its figures. Everything else that it makes is in a temporary folder.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import documents
import peers
import plans
import results
from measure import Cost, machine
from place import Place, cloned, outside, work_tree
from results import Measured, rounded

SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "device.schema.json"
SIZES = (1_000, 10_000, 100_000)
LISTED = 1_000
"""Devices a file, where a fleet has lists."""
MOST_FOR_PEERS = 10_000
MILLION = 1_000_000


def main() -> None:
    """Measure each fleet, write its figures as soon as they are there, then rewrite the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[*SIZES], metavar="N", help="devices, one file each")
    parser.add_argument("--lists", type=int, nargs="*", metavar="N", help=f"devices, {LISTED:,} a file")
    parser.add_argument("--million", action="store_true", help=f"only {MILLION:,} devices, {LISTED:,} a file")
    parser.add_argument("--peers", action="store_true", help=f"run peers above {MOST_FOR_PEERS:,} devices, too")
    parser.add_argument("--runs", type=int, help="of our own commands; the median counts (3; 1 for a million devices)")
    options = parser.parse_args()
    lists = options.lists if options.lists is not None else [size for size in options.sizes if size > LISTED]
    wanted = [*((size, 1) for size in options.sizes), *((size, LISTED) for size in lists)]
    if options.million:
        wanted = [(MILLION, LISTED)]
    for devices, per_file in wanted:
        with_peers = per_file == 1 and (options.peers or devices <= MOST_FOR_PEERS)
        runs = options.runs or (3 if devices < MILLION else 1)
        with TemporaryDirectory(prefix="reconciler-bench-") as temporary:
            one = measured(Path(temporary), devices, per_file, runs=runs, with_peers=with_peers)
        results.save(results.merged(results.load(), one))
    documents.write(results.load())


def measured(folder: Path, devices: int, per_file: int, *, runs: int, with_peers: bool) -> Measured:
    """Make a fleet in `folder` and measure all there is to measure about it."""
    begun = time.monotonic()
    place = work_tree(folder / "fleet", devices, per_file)
    fleet = f"{devices:,} devices in {place.files:,} files"
    print(f"{fleet}: made in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)

    def told(what: str, cost: Cost) -> Cost:
        print(f"{fleet}: {what}: {cost.cpu:.2f} s CPU, {cost.wall:.2f} s wall", file=sys.stderr, flush=True)
        return rounded(cost)

    figures = {name: told(name, cost) for name, cost in ours(place, runs)}
    counts = _tens(place) if per_file == 1 else []
    changed = {count: told(f"{count:,} changed", plans.changed(place, 1, count)) for count in counts}
    programs: dict[str, str] = {}
    if with_peers:
        for name, program, cost in peers.peers(folder / "peers", place.folder / "inventory", SCHEMA, devices):
            figures[name], programs[name] = told(program, cost), program
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return Measured(
        devices,
        place.files,
        per_file,
        runs,
        today,
        machine("pyyaml", "jsonschema-rs", "deepdiff"),
        figures,
        changed,
        programs,
    )


def ours(place: Place, runs: int) -> Iterator[tuple[str, Cost]]:
    """The floors, then our own commands, in a work tree; for one device a file, then the same outside of any."""
    yield from plans.floor(place, runs)
    yield from plans.start(place, runs)
    yield "validate", plans.validate(place)
    yield from plans.first(place, runs)
    yield "no-op", plans.unchanged(place, runs)
    yield "validate-no-op", plans.validate(place, pinned=True)
    if place.per_file == 1:
        with cloned(place):
            yield "no-op-clone", plans.unchanged(place, 1)
        plans.warm(place)
    yield "percent", plans.changed(place, runs, plans.one_percent(place))
    yield "layer", plans.layer(place, runs)
    if place.per_file == 1:
        copy = outside(place, place.folder.with_name("outside"))
        plans.warm(copy)
        yield "no-op-outside", plans.unchanged(copy, runs)


def _tens(place: Place) -> list[int]:
    """1, 10, 100 and so on, up to a tenth of the files."""
    return [10**power for power in range(len(str(place.files)) - 1)]


if __name__ == "__main__":
    main()

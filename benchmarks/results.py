"""The figures of a benchmark as a file: one entry a fleet, replaced when that fleet is measured again."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from measure import Cost

FILE = Path(__file__).with_name("results.json")
PEERS = ("octodns", "terraform", "check-jsonschema")


@dataclass(frozen=True, slots=True)
class Measured:
    """A fleet of `devices` in `files` files of `per_file`: what each piece of work cost, by its name in WORK.

    `changed` is what a plan cost after that many files changed. `runs` is the number of which each figure is the
    median (peers and `validate` run once), `programs` what the peers are, with their versions.
    """

    devices: int
    files: int
    per_file: int
    runs: int
    date: str
    machine: str
    figures: Mapping[str, Cost]
    changed: Mapping[int, Cost] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)


def load(file: Path = FILE) -> list[Measured]:
    """What was measured so far, smallest fleets first."""
    return [_fleet(item) for item in json.loads(file.read_text())["fleets"]] if file.exists() else []


def merged(before: Iterable[Measured], one: Measured) -> list[Measured]:
    """The figures before, with this fleet's in place of its earlier ones; of peers that did not run now, those stay."""
    by_fleet = {(each.per_file, each.devices): each for each in before}
    if old := by_fleet.get((one.per_file, one.devices)):
        kept = {name: old.figures[name] for name in PEERS if name in old.figures}
        one = replace(one, figures=kept | dict(one.figures), programs=dict(old.programs) | dict(one.programs))
    by_fleet[one.per_file, one.devices] = one
    return [each for _, each in sorted(by_fleet.items())]


def save(fleets: Iterable[Measured], file: Path = FILE) -> None:
    """Write them: the same figures are the same bytes."""
    document = {"format_version": 1, "fleets": [asdict(each) for each in fleets]}
    text = json.dumps(document, indent=1, sort_keys=True, default=str)
    file.write_text(re.sub(r'\{\s+("cpu": \S+)\s+("memory": \S+)\s+("wall": \S+)\s+\}', r"{\1 \2 \3}", text) + "\n")


def rounded(cost: Cost) -> Cost:
    """To the millisecond and the tenth of a MiB: there is no more to know."""
    return Cost(round(cost.cpu, 3), round(cost.wall, 3), round(cost.memory, 1))


def _fleet(item: dict[str, Any]) -> Measured:
    figures = {name: Cost(**one) for name, one in item["figures"].items()}
    changed = {int(count): Cost(**one) for count, one in item["changed"].items()}
    return Measured(**item | {"figures": figures, "changed": changed})

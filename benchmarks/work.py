"""The pieces of work that are measured, the floor beside each, and the targets: the words that tables and plot use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from measure import Cost

Resource = Literal["cpu", "wall", "memory"]

FLOORS = {
    "python": "start Python",
    "imports": "start Python and import what a plan imports",
    "hash": "read and hash every file",
    "git-status": "`git status`",
    "parse": "parse every file, one process a core",
}
SHORT = {"python": "Python", "imports": "imports", "hash": "hashing", "git-status": "git status", "parse": "parsing"}
WORK = {
    **FLOORS,
    "version": "`reconciler --version`",
    "help": "`reconciler --help`",
    "no-op": "**`plan`, nothing changed**",
    "no-op-outside": "**`plan`, nothing changed, outside of a git work tree**",
    "no-op-clone": "**`plan`, nothing changed, in a clone made just now with the index of another**",
    "percent": "**`plan`, 1 % of the files changed**",
    "layer": "**`plan`, a value of every device changed, in the layer above all**",
    "adopt": "**first `plan`, of a new fleet**",
    "first": "**first `plan`, of a fleet that was applied**",
    "validate": "`validate`",
    "validate-no-op": "`validate` after a plan, nothing changed",
    "octodns": "plan as many DNS records, nothing changed",
    "terraform": "plan as many resources, nothing changed",
    "check-jsonschema": "validate the same files",
}
"""In the order in which tables show them."""

BESIDE: Mapping[str, tuple[Resource, tuple[str, ...]]] = {
    "version": ("cpu", ("python",)),
    "help": ("cpu", ("python",)),
    "no-op": ("cpu", ("hash", "imports")),
    "no-op-outside": ("cpu", ("hash", "imports")),
    "no-op-clone": ("cpu", ("hash", "imports")),
    "percent": ("cpu", ("hash", "imports")),
    "layer": ("wall", ("parse", "imports")),
    "adopt": ("wall", ("parse", "imports")),
    "first": ("wall", ("parse", "imports")),
    "validate": ("wall", ("parse", "imports")),
    "validate-no-op": ("cpu", ("hash", "imports")),
}
"""By what work is compared, and with which floors: the dearest of them counts."""


@dataclass(frozen=True, slots=True)
class Target:
    """What `work` may take at most for `devices` devices in `per_file` a file: seconds, or MB (a million bytes).

    `above`: seconds of CPU more than the start of Python takes.
    """

    work: str
    devices: int
    per_file: int
    resource: Resource | Literal["above"]
    limit: float

    def met(self, figures: Mapping[str, Cost]) -> bool:
        """Whether it took no more than that."""
        return self.measured(figures) <= self.limit

    def measured(self, figures: Mapping[str, Cost]) -> float:
        """In the unit of the limit."""
        cost = figures[self.work]
        match self.resource:
            case "above":
                return max(0.0, cost.cpu - figures["python"].cpu)
            case "cpu":
                return cost.cpu
            case "wall":
                return cost.wall
            case "memory":
                return cost.memory * 1.048576

    def __str__(self) -> str:
        return {
            "above": f"≤ {self.limit:g} s CPU above Python",
            "cpu": f"≤ {self.limit:g} s CPU",
            "wall": f"≤ {self.limit:g} s wall",
            "memory": f"≤ {self.limit:g} MB",
        }[self.resource]


TARGETS = (
    Target("version", 1_000, 1, "above", 0.04),
    Target("help", 1_000, 1, "above", 0.12),
    Target("no-op", 1_000, 1, "cpu", 0.25),
    Target("no-op-outside", 1_000, 1, "cpu", 0.25),
    Target("no-op", 100_000, 1, "cpu", 1.0),
    Target("no-op", 100_000, 1, "memory", 200),
    Target("no-op-outside", 100_000, 1, "cpu", 1.6),
    Target("no-op-outside", 100_000, 1, "memory", 200),
    Target("percent", 100_000, 1, "cpu", 2),
    Target("adopt", 100_000, 1, "wall", 12),
    Target("adopt", 100_000, 1, "memory", 400),
    Target("first", 100_000, 1, "wall", 12),
    Target("first", 100_000, 1, "memory", 400),
    Target("no-op", 1_000_000, 1_000, "cpu", 3),
    Target("adopt", 1_000_000, 1_000, "wall", 180),
    Target("first", 1_000_000, 1_000, "wall", 180),
)


def floor_of(work: str, figures: Mapping[str, Cost]) -> tuple[str, float] | None:
    """The floor that counts for `work`, and how many times as much the work takes; None if it has none."""
    if work not in BESIDE or work not in figures:
        return None
    resource, floors = BESIDE[work]
    dearest = max((name for name in floors if name in figures), key=lambda name: _of(figures[name], resource))
    return dearest, _of(figures[work], resource) / _of(figures[dearest], resource)


def _of(cost: Cost, resource: Resource) -> float:
    return {"cpu": cost.cpu, "wall": cost.wall, "memory": cost.memory}[resource]

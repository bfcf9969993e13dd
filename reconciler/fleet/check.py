"""Inventory -> what is wrong with it, at the cost of what moved since the last plan."""

from dataclasses import dataclass

from reconciler.fleet.parts import Parts, Scope, beside_an_index
from reconciler.model import Problem


@dataclass(frozen=True, slots=True)
class Checked:
    """What an inventory declares, and what is wrong with it; `warnings` stop nothing.

    `files` declare `devices`, `layers` are the files above them: defaults of folders, and groups.
    """

    devices: int
    files: int
    layers: int
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(scope: Scope) -> Checked:
    """All that is wrong with an inventory, in order of place. The law: with an index or without, it is the same.

    It knows no state, and so keeps no index. Raises ConfigError.
    """
    return beside_an_index(scope, _checked)


def _checked(parts: Parts) -> Checked:
    parts.look(parts.moved(), None)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    if not parts.same:
        with parts.scope.watch.stage("check"):
            problems, warnings = parts.judged(parts.surveyor(None))
    layers = len(parts.layers.defaults) + len(parts.layers.groups)
    return Checked(parts.index.declared(), parts.files, layers, problems, warnings)

"""What `plan` costs in every case worth telling apart. Each run is checked by what it says."""

from collections.abc import Iterator, Mapping
from uuid import uuid4

import commands
from measure import Command, Cost, cost, median
from place import Place, edited, forget, relayered

EMPTY = {"RECONCILER_STATE": "sqlite:.reconciler/empty.db"}


def floor(place: Place, runs: int) -> Iterator[tuple[str, Cost]]:
    """The least that is possible here: what each floor of work.py costs."""
    yield "python", _median(place, runs, commands.PYTHON, "started")
    yield "imports", _median(place, runs, commands.IMPORTS, "imported")
    yield "hash", _median(place, runs, commands.READ_AND_HASH, "\n")
    yield "git-status", _median(place, runs, commands.GIT_STATUS, "nothing to commit")
    yield "parse", _median(place, runs, commands.PARSE, "events", pinned=False)


def start(place: Place, runs: int) -> Iterator[tuple[str, Cost]]:
    """What a command costs that does nothing."""
    yield "version", _median(place, runs, commands.VERSION, "reconciler ")
    yield "help", _median(place, runs, commands.HELP, "Usage:")


def first(place: Place, runs: int) -> Iterator[tuple[str, Cost]]:
    """Plans that find no index: of a fleet that is new, and of one that is as applied."""
    for name, says, environ in (("adopt", f"{place.devices:,} to adopt", EMPTY), ("first", "No changes", {})):
        costs = []
        for _ in range(runs):
            forget(place)
            costs.append(_run(place, commands.PLAN, says, environ=environ, pinned=False))
        yield name, median(costs)


def warm(place: Place) -> None:
    """Let a plan remember what it reads."""
    _run(place, commands.PLAN, "No changes")


def unchanged(place: Place, runs: int) -> Cost:
    """A plan after a plan, when nothing has changed."""
    return _median(place, runs, commands.PLAN, "No changes")


def changed(place: Place, runs: int, count: int) -> Cost:
    """A plan after `count` files, and no others, changed since the plan before; uncommitted.

    In every run to other values: a plan remembers what it read.
    """
    warm(place)  # files that were edited earlier are as before now
    costs = []
    for _ in range(runs):
        with edited(place, count, mark=uuid4().hex):
            costs.append(_run(place, commands.PLAN, f"{count:,} to update"))
    return median(costs)


def layer(place: Place, runs: int) -> Cost:
    """A plan after another value in a layer reached every device; in every run another, as `changed`."""
    warm(place)
    costs = []
    for _ in range(runs):
        with relayered(place, mark=uuid4().hex):
            costs.append(_run(place, commands.PLAN, f"{place.devices:,} to update", pinned=False))
    return median(costs)


def one_percent(place: Place) -> int:
    """How many files that is, and how many devices change when one in each does."""
    return max(1, place.files // 100)


def validate(place: Place, *, pinned: bool = False) -> Cost:
    """Every file, once, or what an index spares."""
    return _run(place, commands.VALIDATE, f"{place.devices:,} devices", pinned=pinned)


def _median(place: Place, runs: int, command: Command, says: str, *, pinned: bool = True) -> Cost:
    return median([_run(place, command, says, pinned=pinned) for _ in range(runs)])


def _run(
    place: Place, command: Command, says: str, *, environ: Mapping[str, str] | None = None, pinned: bool = True
) -> Cost:
    return cost(command, cwd=place.folder, says=(says,), environ=place.environ() | dict(environ or {}), pinned=pinned)

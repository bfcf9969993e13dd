"""Inventory x state -> what a plan does, at the cost of what moved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from reconciler.errors import InventoryError
from reconciler.fleet.moved import Moved
from reconciler.fleet.parts import Parts, Scope, beside_an_index
from reconciler.fleet.standpoint import Standpoint
from reconciler.model import Change, DeviceState, Lease, Problem, Serial, Standing
from reconciler.state.backend import Backend, Head


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a sweep is about. `check` looks at the state before all else, and may raise."""

    scope: Scope
    backend: Backend
    check: Callable[[Head], None]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a plan needs to know; the sequences are in serial order.

    `known` are those devices of the state that a plan does something about, of `total` in all. `lease` tells who may
    write to it.
    """

    head: Head
    lease: Lease | None
    known: Mapping[Serial, DeviceState]
    total: int
    changes: Sequence[Change]
    observed: Sequence[Change]
    standing: tuple[Standing, ...]
    paused: tuple[Serial, ...]
    unchanged: int
    digest: str
    warnings: tuple[Problem, ...]


def sweep(run: Inquiry) -> Swept:
    """What brings the state to what is desired. The law: with an index or without, it is the same.

    Raises InventoryError with every problem of every file, StateError and ConfigError.
    """
    return beside_an_index(run.scope, lambda parts: _swept(run, parts))


def _swept(run: Inquiry, parts: Parts) -> Swept:
    index, tally, watch = parts.index, parts.tally, run.scope.watch
    with watch.stage("state"):
        state = Standpoint(run.backend, index, run.check, parts.stack)
    _look(parts, state)
    gone, swaps = state.gone(index), index.swaps()
    warnings: tuple[Problem, ...] = ()
    if gone or not parts.same:
        with watch.stage("check"):
            surveyor = parts.surveyor(state)
            problems, warnings = parts.judged(surveyor)
            if problems:
                raise InventoryError(problems)
            rest = surveyor.swapped(set(swaps.values()), gone)
        tally.compared(rest)
        if tally.irremovable:
            from reconciler.conformance import refuse_removals

            refuse_removals(run.scope.settings, tally.irremovable)
    changes, observed = tally.changes, tally.observed
    moving = len(changes) + len(observed) - sum(serial in gone for serial in (*changes.serials, *observed.serials))
    unchanged = index.count() - len(tally.paused) - moving
    index.put_extra(gone)
    index.put_meta(state.meta())
    if not tally.shifted and (error := index.keep()):
        run.scope.trace(f"index: it cannot be kept: {error}")
    with watch.stage("sort"):
        settled = changes.settled()
        return Swept(
            state.look.head,
            state.look.lease,
            state.known([*changes.known, *observed.known]),
            state.look.count,
            settled,
            observed.settled(),
            tuple(tally.told()),
            tuple(sorted(tally.paused)),
            unchanged,
            changes.digest(),
            warnings,
        )


def _look(parts: Parts, state: Standpoint) -> None:
    """Survey what is to be read, and once more whatever was applied meanwhile."""
    index, tally = parts.index, parts.tally
    todo = parts.moved()
    while True:
        state.extra |= parts.look(todo, state)
        touched = state.moved_on(index, chain(tally.changes.known, tally.observed.known, index.swaps()))
        if not touched:
            return
        again = {known[1] for serial in touched if (known := index.known(serial))}
        todo = Moved(index.where(again))
        tally.without(index.inside(again))

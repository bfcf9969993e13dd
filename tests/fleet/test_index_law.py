"""With an index or without, a plan is the same: whatever is edited, renamed, deleted, applied or broken in between."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from world import World

from reconciler import reconcile
from reconciler.config import Settings
from reconciler.errors import InventoryError
from reconciler.fleet.check import Checked, check
from reconciler.fleet.chosen import chosen
from reconciler.fleet.parts import Scope
from reconciler.fleet.sweep import Inquiry, Swept, sweep
from reconciler.plan.plan_file import to_json
from reconciler.state.open import open_state
from reconciler.watch import Advance, Watch

SEEDS = range(int(os.environ.get("RECONCILER_WALKS", "200" if os.environ.get("RECONCILER_SOAK") else "12")))
STEPS = 12


class Reader(Watch):
    """Counts the files that are read."""

    def __init__(self) -> None:
        self.read = 0

    def stage(self, name: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
        self.read += total or 0 if name == "read" else 0
        return super().stage(name, total, unit)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_is_the_same_with_an_index_without_one_and_of_the_fleet_as_a_whole(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path / "world", seed)
    reader = Reader()
    valid = unread = 0
    for _ in range(STEPS):
        world.step()
        if world.chance.random() < 0.8:  # most plans are of something that can be applied
            world.repair()
        if world.chance.random() < 0.7:  # or every file would have to be read, for what is to be done about it
            world.applies()
        # Now and then the marks of files count, as they do once time has passed since they were written.
        ahead = world.chance.choice([0, 10_000_000_000])

        def planned(settings: Settings, find: Callable[[Inquiry], Swept], ahead: int = ahead) -> object:
            with closing(open_state(settings.state, settings.root)) as backend:
                run = Inquiry(Scope(settings, world.today, time.time_ns() + ahead, reader), backend, lambda _: None)
                try:
                    found = find(run)
                except InventoryError as error:
                    return error.problems
                return to_json(reconcile.planned(settings, found, (), world.clock())), found.warnings

        def checked(settings: Settings, ahead: int = ahead) -> Checked:
            return check(Scope(settings, world.today, time.time_ns() + ahead, reader))

        settings = world.settings()
        whole = reconcile.validate(settings, today=world.today)
        reader.read = 0
        problems = checked(settings)
        unread += max(0, len(world.files()) - reader.read)
        assert problems == checked(replace(settings, cache=None)), world.log
        assert problems == Checked(
            len(whole.desired.devices), whole.files, whole.layers, whole.problems, whole.warnings
        ), world.log
        reader.read = 0
        indexed = planned(settings, sweep)
        seen, all_files = reader.read, len(world.files())
        assert indexed == planned(replace(settings, cache=None), sweep), world.log
        assert indexed == planned(settings, lambda run: chosen(run, ())), world.log
        if isinstance(indexed[0], dict):  # type: ignore[index]  # problems, or a document with warnings
            valid += 1
            world.skipped += max(0, all_files - seen)

    assert valid > STEPS / 3, "too much of it ended in problems"
    assert world.skipped > 0, "the index spared nothing"
    assert unread > 0, "it spared a check nothing"

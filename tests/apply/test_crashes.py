"""Whatever is killed and whenever: a re-run converges, and never sends again what is durably applied."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from conftest import clean_environ
from crash_driver import WINDOWS

from reconciler.model import EntryKind, Json, Serial
from reconciler.sandbox.server import Sandbox
from reconciler.state.open import open_state

SOAK = os.environ.get("RECONCILER_SOAK") == "1"
HITS = 20
KILLS = 500 if SOAK else 200
SEEDS = 1000 if SOAK else 200
FLEET = [f"AP-{number:03}" for number in range(200)]


class World:
    """A folder, a sandbox, and a driver whose applies can be killed."""

    def __init__(self, folder: Path, sandbox: Sandbox, driver: "subprocess.Popen[str]") -> None:
        self.folder = folder
        self.sandbox = sandbox
        self._driver = driver

    def declare(self, serials: list[str], generation: int) -> None:
        """One file for all, with values that belong to this generation."""
        devices = [_declared(serial, generation) for serial in serials]
        (self.folder / "inventory" / "fleet.yaml").write_text(json.dumps({"devices": devices}))

    def apply(self, **order: Json) -> int:
        assert self._driver.stdin
        assert self._driver.stdout
        self._driver.stdin.write(json.dumps(order) + "\n")
        self._driver.stdin.flush()
        code: int = json.loads(self._driver.stdout.readline())["code"]
        return code

    def durably_applied(self) -> set[str]:
        """The devices that the journal calls applied since their last intent."""
        applied: set[str] = set()
        with closing(open_state("sqlite:.reconciler/state.db", self.folder)) as state:
            for entry in state.entries():
                if entry.kind is EntryKind.INTENT:
                    applied.discard(str(entry.serial))
                elif entry.kind is EntryKind.APPLIED:
                    applied.add(str(entry.serial))
        return applied

    def sent(self) -> list[str]:
        return [str(request.serial) for request in self.sandbox.requests("PUT")]

    def converges(self, serials: list[str], generation: int, *, done: set[str], tries: int = 1) -> None:
        """Re-runs end well, send nothing twice, and leave server, snapshot and inventory the same."""
        self.sandbox.forget_requests()
        codes = [self.apply() for _ in range(tries)]
        assert 0 in codes, codes
        assert done.isdisjoint(self.sent()), "sent again although durably applied"
        self.sandbox.forget_requests()
        assert self.apply() == 0
        assert self.sent() == [], "a third run has nothing to send"
        with closing(open_state("sqlite:.reconciler/state.db", self.folder)) as state:
            devices = state.read().devices
            state.verify()
        for serial in serials:
            declared = {key: value for key, value in _declared(serial, generation).items() if key != "serial_number"}
            assert devices[Serial(serial)].fields == declared
            held = self.sandbox.device(serial)
            assert {key: held[key] for key in declared} == declared


def _declared(serial: str, generation: int) -> dict[str, Json]:
    return {"serial_number": serial, "status": "active", "location": f"{serial} {generation}"}


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox) -> Iterator[World]:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "reconciler.toml").write_text(
        "[api]\nrate_per_second = 100000\nburst = 1000\nconcurrency_min = 8\nbackoff_base = 0.01\nlinger = 0.1\n"
    )
    sandbox.seed(*FLEET)
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("crash_driver.py")],
        cwd=tmp_path,
        env={**clean_environ(), **sandbox.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as driver:
        yield World(tmp_path, sandbox, driver)
        assert driver.stdin
        driver.stdin.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_kill_in_any_window_converges(window: str, world: World) -> None:
    serials = FLEET[:16]
    hits: Counter[int] = Counter()
    for generation in range(2 * HITS):
        world.declare(serials, generation)
        code = world.apply(kill=window, nth=1 + generation % 4)
        hits[code] += 1
        world.converges(serials, generation, done=world.durably_applied() & _at(world, serials, generation))
        if hits[-9] >= HITS:
            break

    assert hits[-9] >= HITS, f"the window must have been hit: {hits}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("window", WINDOWS)
def test_devices_that_left_are_decommissioned_whatever_window_a_kill_strikes(window: str, world: World) -> None:
    with (world.folder / "reconciler.toml").open("a") as settings:
        settings.write('[on_removed]\ndevice = "decommission"\n')
    stay, kills = FLEET[:2], 0
    world.declare(FLEET[:26], 0)
    assert world.apply() == 0
    for nth in (1, 2, 4):
        gone = FLEET[2 : 2 + 6 * nth]
        world.declare([*stay, *FLEET[2 + 6 * nth : 26]], 0)
        kills += world.apply(kill=window, nth=nth) == -9
        held = {serial for serial in gone if world.sandbox.device(serial)["status"] == "decommissioned"}
        world.converges(stay, 0, done=world.durably_applied() & held)
        with closing(open_state("sqlite:.reconciler/state.db", world.folder)) as state:
            devices = state.read().devices
        for serial in gone:
            assert world.sandbox.device(serial)["status"] == "decommissioned"
            assert devices[Serial(serial)].fields == {"status": "decommissioned", "location": f"{serial} 0"}

    assert kills >= 2, "the window must have been hit"


@pytest.mark.timeout(3600)
def test_kills_at_random_instants_converge(world: World) -> None:
    luck = random.Random(7)  # noqa: S311 - not for secrets
    generation = kills = midway = 0
    reach = 0.25  # seconds: follows how fast this machine is just now, or no kill would strike midway
    world.declare(FLEET, generation)
    while kills < KILLS:
        code = world.apply(after=luck.uniform(0.02, reach))
        kills += code == -9
        done = world.durably_applied() & _at(world, FLEET, generation)
        midway += 0 < len(done) < len(FLEET)
        reach = reach * 0.9 if code == 0 else min(reach * 1.1, 5.0) if not done else reach
        if code == 0 or kills % 10 == 0:
            world.converges(FLEET, generation, done=done)
            generation += 1
            world.declare(FLEET, generation)

    assert midway >= KILLS // 10, "kills must strike midway"


@pytest.mark.timeout(3600)
def test_lost_responses_converge(world: World) -> None:
    serials = FLEET[:10]
    struck = 0
    for seed in range(SEEDS):
        world.declare(serials, seed)
        world.sandbox.forget_requests()
        world.sandbox.faults(f"drop-after-commit:30%,seed={seed}")
        assert world.apply() in {0, 3}
        struck += sum("drop-after-commit" in request.faults for request in world.sandbox.requests("PUT"))
        done = world.durably_applied() & _at(world, serials, seed)
        world.sandbox.faults()
        world.converges(serials, seed, done=done)

    assert struck >= SEEDS * len(serials) // 10, "the fault must have struck"


def _at(world: World, serials: list[str], generation: int) -> set[str]:
    """The devices whose snapshot is of this generation."""
    with closing(open_state("sqlite:.reconciler/state.db", world.folder)) as state:
        devices: Mapping[Serial, object] = state.read().devices
    found = set()
    for serial in serials:
        state_of = devices.get(Serial(serial))
        if state_of is not None and getattr(state_of, "fields", {}).get("location") == f"{serial} {generation}":
            found.add(serial)
    return found

"""The law of the program, after any sequence of edits, crashes, losses, thefts and schema changes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

from conftest import clean_environ
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from reconciler.inventory.schema import packaged_schema
from reconciler.model import Holder, Json
from reconciler.sandbox.server import running
from reconciler.state.backend import Backend
from reconciler.state.open import open_state
from reconciler.timestamp import stamp

SOAK = os.environ.get("RECONCILER_SOAK") == "1"
SERIALS = ["A", "B", "C", "D", "E"]
THIEF = Holder(by="thief", host="elsewhere", boot="another", pid=1, started="1")
STRUCK: Counter[str] = Counter()
values = st.sampled_from(["one", "two", "three"])


class Convergence(RuleBasedStateMachine):
    """Whatever happened in between, two applies later everything is as declared, and a third sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.folder = Path(self.open.enter_context(tempfile.TemporaryDirectory()))
        self.sandbox = self.open.enter_context(running(seed=SERIALS))
        self.fleet: dict[str, dict[str, Json]] = {}
        self.extra = 0

    @initialize(serials=st.lists(st.sampled_from(SERIALS), min_size=1, unique=True))
    def begin(self, serials: list[str]) -> None:
        (self.folder / "inventory").mkdir()
        (self.folder / "schemas").mkdir()
        (self.folder / "reconciler.toml").write_text(
            "[api]\nrate_per_second = 100000\nburst = 1000\ntimeout = 1\nbreaker_cooldown = 0.01\n"
            "backoff_base = 0.01\nlinger = 0.1\n"
        )
        self.schema = packaged_schema("device")
        (self.folder / "schemas" / "device.schema.json").write_text(json.dumps(self.schema))
        self.driver = self.open.enter_context(
            subprocess.Popen(
                [sys.executable, Path(__file__).with_name("crash_driver.py")],
                cwd=self.folder,
                env={**clean_environ(), **self.sandbox.environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
        )
        self.fleet = {serial: {"status": "active"} for serial in serials}
        self._write()

    @rule(serial=st.sampled_from(SERIALS), name=st.sampled_from(["name", "location"]), value=values)
    def edit(self, serial: str, name: str, value: str) -> None:
        self.fleet.setdefault(serial, {"status": "active"})[name] = value
        self._write()

    @rule(serial=st.sampled_from(SERIALS), key=st.sampled_from(["x", "y"]), value=values | st.integers(0, 3))
    def edit_inside(self, serial: str, key: str, value: Json) -> None:
        configuration = self.fleet.setdefault(serial, {"status": "active"}).setdefault("configuration", {})
        assert isinstance(configuration, dict)
        configuration[key] = value
        self._write()

    @rule(serial=st.sampled_from(SERIALS))
    def take_away(self, serial: str) -> None:
        """Only what has an answer: the guard `unknown` would refuse the rest, and rightly so.

        Not a precondition: what was answered before a kill differs from run to run, which must not choose the steps.
        """
        if all(state.unknown is None for state in self._state().read().devices.values()):
            self.fleet.pop(serial, None)
            self.fleet = self.fleet or {SERIALS[0]: {"status": "active"}}
            self._write()

    @rule()
    def change_the_schema(self) -> None:
        self.extra += 1
        self.schema["properties"][f"custom_{self.extra}"] = {"type": "string"}
        (self.folder / "schemas" / "device.schema.json").write_text(json.dumps(self.schema))

    @rule(share=st.integers(20, 100), seed=st.integers(0, 1000))
    def apply_while_responses_are_lost(self, share: int, seed: int) -> None:
        for serial in self.fleet:  # so that there is something to lose
            self.fleet[serial]["name"] = f"before loss {seed}"
        self._write()
        self.sandbox.faults(f"drop-after-commit:{share}%,seed={seed}")
        code = self._apply()
        STRUCK["lost"] += sum(bool(request.faults) for request in self.sandbox.requests("PUT"))
        self.sandbox.faults()
        assert code in {0, 1, 3}

    @rule(seconds=st.floats(0.005, 0.08))
    def apply_and_kill(self, seconds: float) -> None:
        STRUCK["killed"] += self._apply(after=seconds) == -9

    @rule(force=st.booleans())
    def steal_and_unlock(self, force: bool) -> None:  # noqa: FBT001 - given
        with closing(self._state()) as state:
            present = state.lease()
            if present and force:
                state.unlock(present.id, by="us", at=stamp(time.time()), force=True)
            if state.lease() is None and state.read().lineage:
                stolen = state.acquire(THIEF, ttl=60)
                state.unlock(stolen.id, by="us", at=stamp(time.time()), force=True)
                STRUCK["stolen"] += 1

    @rule()
    def converge(self) -> None:
        assert self._apply() == 0
        self.sandbox.forget_requests()
        assert self._apply() == 0
        assert self.sandbox.requests("PUT") == ()
        with closing(self._state()) as state:
            devices = state.read().devices
            state.verify()
        assert {serial: dict(held.fields) for serial, held in devices.items()} == self.fleet
        for serial, declared in self.fleet.items():
            held = self.sandbox.device(serial)
            assert {key: held[key] for key in declared} == declared
        assert all(state_of.unknown is None for state_of in devices.values())

    def teardown(self) -> None:
        """The law holds at the end, whatever the steps were."""
        if hasattr(self, "driver"):
            self.converge()
            assert self.driver.stdin
            self.driver.stdin.close()
        self.open.close()

    def _state(self) -> Backend:
        return open_state("sqlite:.reconciler/state.db", self.folder)

    def _write(self) -> None:
        devices = [{"serial_number": serial, **held} for serial, held in self.fleet.items()]
        (self.folder / "inventory" / "fleet.yaml").write_text(json.dumps({"devices": devices}))

    def _apply(self, **order: Json) -> int:
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps(order) + "\n")
        self.driver.stdin.flush()
        code: int = json.loads(self.driver.stdout.readline())["code"]
        return code


def test_the_law_holds_after_any_sequence_of_troubles() -> None:
    STRUCK.clear()
    walk = Convergence()  # a theft at least: Hypothesis may leave out any rule for a whole run
    walk.begin(serials=SERIALS)
    walk.apply_and_kill(seconds=0.05)
    walk.steal_and_unlock(force=True)
    walk.edit(serial="A", name="name", value="one")
    walk.converge()
    walk.steal_and_unlock(force=True)
    walk.teardown()
    run_state_machine_as_test(
        Convergence,
        settings=settings(
            max_examples=200 if SOAK else 20, stateful_step_count=30 if SOAK else 15, deadline=None, print_blob=True
        ),
    )

    assert STRUCK["killed"] > 0
    assert STRUCK["lost"] > 0
    assert STRUCK["stolen"] > 0

"""Plans beside somebody who applies: each is that of one moment, and comes to an end."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Declare, Run

from reconciler import reconcile
from reconciler.config import Settings, load
from reconciler.errors import InventoryError
from reconciler.fleet import parts
from reconciler.fleet.standpoint import Standpoint
from reconciler.index import Index
from reconciler.model import Action, Json, Plan, Serial
from reconciler.sandbox.server import Sandbox
from reconciler.state.open import open_state
from reconciler.watch import Advance, Watch

Applied = Callable[..., None]


@contextmanager
def struck(stage: str, act: Callable[[], object], *, after: bool = False) -> Iterator[Watch]:
    """A watch under which `act` happens once, before or after the first such stage; and it has to."""
    happened: list[str] = []

    class Meanwhile(Watch):
        @contextmanager
        def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
            here = name == stage and not happened
            if here:
                happened.append(name)
            if here and not after:
                act()
            with super().stage(name, total, unit) as advance:
                yield advance
            if here and after:
                act()

    yield Meanwhile()
    assert happened == [stage]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"})


@pytest.fixture
def apply(run: Run, sandbox: Sandbox) -> Applied:
    """Applies the inventory without a look at any index."""

    def apply(*options: str) -> None:
        ran = run("apply", "--auto-approve", "--no-cache", *options, environ=sandbox.environ)
        assert ran.code == 0, ran.stderr

    return apply


@pytest.fixture
def known(declare: Declare, sandbox: Sandbox, apply: Applied, settings: Settings) -> Callable[..., None]:
    """Declares devices, a file for each, applies, and lets an index know of it, so that no file has to be read."""

    def known(*serials: str, **fields: Json) -> None:
        for serial in serials:
            sandbox.seed(serial)
            declare(f"{serial}.yaml", serial_number=serial, **fields)
        apply()
        time.sleep(2.1)  # until the status of a file tells whether it moved
        assert reconcile.plan(settings).changes == ()

    return known


def told(plan: Plan) -> list[tuple[Action, str, str | None]]:
    return [(change.action, change.serial, change.replaces) for change in plan.changes]


def test_a_replacement_that_is_applied_while_a_plan_ends_is_planned_as_it_was_before_or_after(
    declare: Declare, known: Callable[..., None], apply: Applied, sandbox: Sandbox, settings: Settings
) -> None:
    known("OLD", "AP-1", name="one")
    sandbox.seed("NEW")
    declare("OLD.yaml", serial_number="NEW", name="one", **{"$replaces": "OLD"})

    with struck("check", apply) as watch:
        plan = reconcile.plan(settings, watch=watch)

    assert told(plan) in ([(Action.REPLACE, "NEW", "OLD")], [])
    assert reconcile.plan(settings).changes == ()


def test_a_device_that_is_applied_after_it_was_read_is_not_planned_again(
    declare: Declare, known: Callable[..., None], apply: Applied, settings: Settings
) -> None:
    known("AP-1", "AP-2", name="one")
    declare("AP-1.yaml", serial_number="AP-1", name="two")

    with struck("read", apply, after=True) as watch:
        plan = reconcile.plan(settings, watch=watch)

    assert (plan.changes, plan.unchanged) == ((), 2)


def test_a_device_that_another_checkout_adopts_after_all_was_read_leaves_with_this_plan(
    declare: Declare, known: Callable[..., None], apply: Applied, sandbox: Sandbox, settings: Settings
) -> None:
    known("AP-1", name="one")
    declare("AP-1.yaml", serial_number="AP-1", name="two")
    sandbox.seed("AP-2")

    def adopt() -> None:
        theirs = declare("AP-2.yaml", serial_number="AP-2")
        apply("--target", "AP-2")
        theirs.unlink()

    with struck("read", adopt, after=True) as watch:
        plan = reconcile.plan(settings, watch=watch)

    assert told(plan) == [(Action.UPDATE, "AP-1", None), (Action.RELEASE, "AP-2", None)]


def test_a_removal_that_the_schema_does_not_take_is_no_problem_of_a_device_that_was_forgotten_meanwhile(
    declare: Declare, known: Callable[..., None], run: Run, settings: Settings
) -> None:
    (settings.root / "reconciler.toml").write_text('on_removed.field = "null"\n')
    settings = load(settings.root, {"XDG_CACHE_HOME": f"{settings.root}.cache"})
    known("AP-1", "AP-2", name="one", status="active")
    assert reconcile.plan(settings).changes == ()
    declare("AP-1.yaml", serial_number="AP-1", name="one")
    with pytest.raises(InventoryError) as raised:
        reconcile.plan(settings)
    assert [problem.code for problem in raised.value.problems] == ["RC412"]

    def forget() -> None:
        ran = run("state", "forget", "AP-1", "--auto-approve")
        assert ran.code == 0, ran.stderr

    with struck("read", forget, after=True) as watch:
        plan = reconcile.plan(settings, watch=watch)

    assert told(plan) == [(Action.ADOPT, "AP-1", None)]


def test_a_file_that_is_read_only_because_its_device_was_applied_meanwhile_is_checked_beside_the_others(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", name="one")
    declare("b.yaml", serial_number="AP-2", name="two")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    time.sleep(2.1)  # until the status of a file tells whether it moved
    settings = load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"})
    reconcile.plan(settings)

    def twice() -> None:
        declare("a.yaml", serial_number="AP-1", name="another")
        assert run("apply", "--auto-approve", "--no-cache", environ=sandbox.environ).code == 0
        declare("a.yaml", devices=[{"serial_number": "AP-1", "name": "another"}, {"serial_number": "AP-2"}])

    with struck("read", twice) as watch, pytest.raises(InventoryError) as raised:
        reconcile.plan(settings, watch=watch)

    assert [problem.code for problem in raised.value.problems] == ["RC307"]


@pytest.mark.parametrize("settled", ["first", "second"])
def test_a_device_that_is_applied_while_a_plan_is_at_its_end_is_not_released(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, settled: str
) -> None:
    for serial in ("AP-1", "AP-2"):
        declare(f"{serial}.yaml", serial_number=serial, status="active")
        sandbox.seed(serial)
    apply = ("apply", "--auto-approve", "--target", "AP-1")
    if settled == "second":
        assert run(*apply, environ=sandbox.environ).code == 0
        apply = (*apply[:-1], "AP-2")
    settings = load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"})
    reconcile.plan(settings)
    struck: list[int] = []
    moved_on = Standpoint.moved_on

    def moved(self: Standpoint, index: Index, serials: Iterable[Serial]) -> frozenset[Serial]:
        touched = moved_on(self, index, serials)
        if not touched and not struck:
            struck.append(run(*apply, environ=sandbox.environ).code)
        return touched

    monkeypatch.setattr(Standpoint, "moved_on", moved)

    plan = reconcile.plan(settings)

    assert struck == [0]
    assert [change.serial for change in plan.changes if change.action is not Action.ADOPT] == []


@pytest.mark.parametrize("way", ["index", "index and processes", "no index", "no index and processes"])
def test_a_plan_beside_an_apply_is_that_of_one_moment_and_comes_to_an_end(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, way: str
) -> None:
    serials = [Serial(f"AP-{number:02}") for number in range(12)]
    sandbox.seed(*serials)
    for at in range(0, 12, 3):
        inside: list[Json] = [{"serial_number": serial, "status": "active"} for serial in serials[at : at + 3]]
        declare(f"{at}.yaml", devices=inside)
    settings = load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"})
    settings = replace(settings, processes=2 if "processes" in way else 1)
    monkeypatch.setattr(parts, "ALONE", 0)
    monkeypatch.setattr(parts, "HANDFUL", 1)
    waiting, moments, stages = [*serials], dict[int, set[Serial]](), list[str]()

    def apply() -> None:
        assert run("apply", "--auto-approve", "--target", waiting.pop(), environ=sandbox.environ).code == 0
        with closing(open_state(settings.state, settings.root)) as backend:
            moments[backend.head().revision] = set(serials) - set(waiting)

    class Meanwhile(Watch):
        def stage(self, name: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
            if name in {"read", "check"}:
                stages.append(name)
                apply()
            return super().stage(name, total, unit)

    apply()
    if not way.startswith("no"):
        reconcile.plan(settings)
    plan = reconcile.plan(settings, watch=Meanwhile())

    assert stages in (["read", "check"], ["read", "read", "check"])
    assert {change.action for change in plan.changes} == {Action.ADOPT}
    assert {change.serial for change in plan.changes} == set(serials) - moments[plan.revision]
    assert {change.serial for change in reconcile.plan(settings).changes} == set(waiting)

"""A device that stands in for another, through every rule of a plan."""

from datetime import UTC, datetime

from examples import applied

from reconciler.model import Action, Change, DesiredState, Device, DeviceState, Intent, Serial, Snapshot, Source
from reconciler.plan.diff import diff
from reconciler.plan.guard import guard
from reconciler.plan.manage import parted
from reconciler.plan.target import target
from reconciler.policy import GuardSettings

OLD, NEW = Serial("OLD"), Serial("NEW")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SWAP = DesiredState({NEW: Device(NEW, {"vlan": 1}, Source("a.yaml", 1), replaces=OLD)})


def told(changes: tuple[Change, ...]) -> list[tuple[Action, str, str | None]]:
    return [(change.action, change.serial, change.replaces) for change in changes]


def test_a_replacement_is_one_change() -> None:
    assert told(diff(SWAP, applied({"OLD": {"vlan": 1}}))) == [(Action.REPLACE, NEW, OLD)]


def test_a_new_device_that_is_known_already_takes_the_old_one_along_with_whatever_it_needs() -> None:
    snapshot = applied({"OLD": {"vlan": 1}, "NEW": {"vlan": 2}})

    assert told(diff(SWAP, snapshot)) == [(Action.UPDATE, NEW, OLD)]


def test_an_old_device_whose_successor_needs_nothing_is_released_by_itself() -> None:
    snapshot = applied({"OLD": {"vlan": 1}, "NEW": {"vlan": 1}})

    assert told(diff(SWAP, snapshot)) == [(Action.RELEASE, OLD, None)]


def test_a_target_chooses_both_or_neither() -> None:
    snapshot = applied({"OLD": {"vlan": 1}, "X": {}})

    for pattern in ("OLD", "NEW"):
        assert told(diff(*target(SWAP, snapshot, [pattern]))) == [(Action.REPLACE, NEW, OLD)]
    assert told(diff(*target(SWAP, snapshot, ["X"]))) == [(Action.RELEASE, Serial("X"), None)]


def test_an_observed_successor_leaves_the_old_device_alone() -> None:
    device = Device(NEW, {"vlan": 1}, Source("a.yaml", 1), manage="observe", replaces=OLD)
    managed, held = parted(DesiredState({NEW: device}), applied({"OLD": {"vlan": 1}}))

    assert told(diff(*managed)) == []
    assert told(diff(*held)) == [(Action.REPLACE, NEW, OLD)]


def test_a_replacement_counts_as_an_adoption_and_as_a_release() -> None:
    snapshot = applied({"OLD": {"vlan": 1}})
    limits = GuardSettings(max_adopted=0, max_released=0)
    checks = guard(diff(SWAP, snapshot), snapshot.devices, limits=limits, moment=NOON)

    assert {check.rule for check in checks if not check.passed} == {"max_adopted", "max_released"}


def test_an_old_device_whose_last_put_has_no_answer_is_not_forgotten_unasked() -> None:
    state = DeviceState({"vlan": 1}, unknown=Intent({"vlan": 2}, ()))
    snapshot = Snapshot("lineage", 7, {OLD: state})
    [check] = [
        check
        for check in guard(diff(SWAP, snapshot), snapshot.devices, limits=GuardSettings(), moment=NOON)
        if not check.passed
    ]

    assert check.rule == "unknown"
    assert "OLD" in check.message

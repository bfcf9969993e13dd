from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from examples import AP, Fleet, applied, desired, unanswered

from reconciler.model import Snapshot
from reconciler.plan.diff import diff
from reconciler.plan.guard import RULES, guard
from reconciler.policy import GuardSettings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def fleet(count: int, **values: Any) -> Fleet:  # noqa: ANN401 - JSON
    return {f"D{number:04}": dict(values) for number in range(count)}


def rules(new: Fleet, snapshot: Snapshot, *, protected: Sequence[str] = (), **limits: Any) -> list[str]:  # noqa: ANN401
    removed = limits.pop("removed", "release")
    changes = diff(desired(new), snapshot, removed=removed)
    settings = GuardSettings(protected=tuple(protected), **limits)
    checks = guard(changes, snapshot.devices, limits=settings, moment=NOON, removed=removed)
    assert [check.rule for check in checks] == list(RULES)
    return [check.rule for check in checks if not check.passed]


@pytest.mark.parametrize(("changed", "refused"), [(30, []), (31, ["max_changed_pct"])])
def test_more_updates_than_their_share_are_refused(changed: int, refused: list[str]) -> None:
    new = {**fleet(100, vlan=1), **fleet(changed, vlan=2)}

    assert rules(new, applied(fleet(100, vlan=1))) == refused


@pytest.mark.parametrize(("kept", "refused"), [(389, []), (388, []), (379, ["max_released_pct"])])
def test_more_releases_than_their_share_are_refused(kept: int, refused: list[str]) -> None:
    assert rules(fleet(kept, vlan=1), applied(fleet(400, vlan=1))) == refused


@pytest.mark.parametrize(("changed", "refused"), [(10, []), (11, ["max_changed_pct"])])
def test_a_small_fleet_has_a_floor_and_no_blind_spot(changed: int, refused: list[str]) -> None:
    assert rules({**fleet(12, vlan=1), **fleet(changed, vlan=2)}, applied(fleet(12, vlan=1))) == refused


def test_a_first_adoption_is_not_a_change() -> None:
    assert rules(fleet(1000, vlan=1), applied({})) == []


def test_a_protected_field_may_be_adopted_and_not_changed() -> None:
    protected = ["configuration.profile"]
    new: Fleet = {AP: {"configuration": {"profile": "b", "x": 1}}}

    assert rules(new, applied({}), protected=protected) == []
    assert rules(new, applied({AP: {"configuration": {"profile": "a", "x": 1}}}), protected=protected) == ["protected"]
    assert rules(new, applied({AP: {"configuration": {"profile": "b", "x": 2}}}), protected=protected) == []
    assert rules(new, applied({AP: {"configuration": "none"}}), protected=protected) == ["protected"]


def test_a_removed_field_is_refused_where_the_settings_say_error() -> None:
    assert rules({AP: {}}, applied({AP: {"location": "x"}}), removed="error") == ["on_removed.field"]
    assert rules({AP: {}}, applied({AP: {"location": "x"}})) == []


def test_what_has_no_answer_must_not_be_forgotten_unasked() -> None:
    unknown = unanswered({"location": "x"}, {"location": "y"})

    assert rules({}, unknown) == ["unknown"]
    assert rules({AP: {}}, unknown) == ["unknown"]
    assert rules({AP: {"location": "z"}}, unknown) == []


def test_every_refusal_says_how_to_go_on() -> None:
    snapshot = applied(fleet(100, vlan=1))
    changes = diff(desired(fleet(100, vlan=2)), snapshot)
    checks = guard(changes, snapshot.devices, limits=GuardSettings(), moment=NOON)
    [refusal] = [check for check in checks if not check.passed]

    assert "100 of 100 devices" in refusal.message
    assert "--allow max_changed_pct" in refusal.override


def test_a_protected_field_may_be_sent_again_after_a_crash() -> None:
    crashed = unanswered({}, {"status": "active"})
    edited = unanswered({"status": "inactive"}, {"status": "active"})

    assert rules({AP: {"status": "active"}}, crashed, protected=["status"]) == []
    assert rules({AP: {"status": "active"}}, edited, protected=["status"]) == []
    assert rules({AP: {"status": "retired"}}, edited, protected=["status"]) == ["protected"]


def test_a_fleet_of_which_only_the_changed_devices_are_at_hand_is_judged_by_its_size() -> None:
    before = applied(fleet(100, vlan=1))
    changes = diff(desired({**fleet(100, vlan=1), **fleet(31, vlan=2)}), before)
    devices = {change.serial: before.devices[change.serial] for change in changes}

    whole = guard(changes, before.devices, limits=GuardSettings(), moment=NOON)
    part = guard(changes, devices, total=100, limits=GuardSettings(), moment=NOON)

    assert part == whole
    assert [check.measured for check in part if check.rule == "max_changed_pct"] == [31]


def test_another_server_is_refused_though_no_known_device_is_changed() -> None:
    servers = ("http://one.example", "http://other.example")
    changes = diff(desired(fleet(3)), applied({}))

    checks = guard(changes, {}, total=5, limits=GuardSettings(), moment=NOON, servers=servers)

    assert [check.rule for check in checks if not check.passed] == ["server"]

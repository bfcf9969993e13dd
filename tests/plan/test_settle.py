"""A saved plan may be applied again after anything: each device is done, still to do, or stale."""

from collections.abc import Mapping

from examples import AP, applied, desired, fields, unanswered
from hypothesis import assume, given

from reconciler.model import Change, DeviceState, Divergence, Intent, Json, Serial, Snapshot
from reconciler.plan.body import body
from reconciler.plan.diff import diff
from reconciler.plan.marks import Marks
from reconciler.plan.settle import settle
from reconciler.pointer import patched

MARKS = Marks(secret=frozenset({"/psk"}))


def never(_: str) -> bool:
    return False


def plan(new: Mapping[str, Json], snapshot: Snapshot, *, resend: bool = False) -> list[Change]:
    return list(diff(desired({AP: new}), snapshot, marks=MARKS, resend=resend))


def where(changes: list[Change], devices: Mapping[Serial, DeviceState]) -> str:
    settled = settle(changes, devices, marks=MARKS, merged=never)
    [found] = [name for name in ("todo", "done", "stale") if getattr(settled, name)]
    return found


@given(fields, fields)
def test_a_device_moves_from_to_do_over_in_flight_to_done(old: dict[str, Json], new: dict[str, Json]) -> None:
    changes = plan(new, applied({AP: old}))
    assume(changes)
    [change] = changes
    reached = patched(old, [(field.path, field.after) for field in change.fields])
    in_flight = Intent(body(change, old, merged=never), change.fields)

    assert where(changes, {AP: DeviceState(old)}) == "todo"
    assert where(changes, {AP: DeviceState(old, unknown=in_flight)}) == "todo"
    assert where(changes, {AP: DeviceState(reached)}) == "done"


def test_a_device_that_somebody_else_moved_is_stale() -> None:
    changes = plan({"vlan": 2}, applied({AP: {"vlan": 1}}))

    assert where(changes, {AP: DeviceState({"vlan": 3})}) == "stale"
    assert where(changes, {AP: DeviceState({"vlan": 1}, unknown=Intent({"vlan": 3}, ()))}) == "stale"
    assert where(changes, {}) == "stale"


def test_an_adoption_that_crashed_in_flight_is_still_to_do() -> None:
    changes = plan({"vlan": 2}, applied({}))

    assert where(changes, {}) == "todo"
    assert where(changes, {AP: DeviceState({}, unknown=Intent({"vlan": 2}, ()))}) == "todo"
    assert where(changes, {AP: DeviceState({"vlan": 2})}) == "done"


def test_a_resend_is_to_do_until_the_unknown_is_cleared() -> None:
    changes = plan({"vlan": 2}, unanswered({"vlan": 1}, {"vlan": 2}))

    assert where(changes, unanswered({"vlan": 1}, {"vlan": 2}).devices) == "todo"
    assert where(changes, {AP: DeviceState({"vlan": 2})}) == "done"
    assert where(changes, {AP: DeviceState({"vlan": 1})}) == "stale"


def test_a_resend_of_a_divergence_is_done_once_the_server_took_it() -> None:
    states = {AP: DeviceState({"vlan": 2}, divergence=(Divergence("/vlan", 2, 1),))}
    changes = plan({"vlan": 2}, Snapshot("lineage", 7, states), resend=True)

    assert where(changes, states) == "todo"
    assert where(changes, {AP: DeviceState({"vlan": 2})}) == "done"


def test_a_release_is_done_when_the_device_is_gone() -> None:
    changes = list(diff(desired({}), applied({AP: {"vlan": 1}})))

    assert where(changes, {AP: DeviceState({"vlan": 1})}) == "todo"
    assert where(changes, {}) == "done"
    assert where(changes, {AP: DeviceState({"vlan": 2})}) == "stale"


def test_a_change_of_a_secret_alone_is_not_taken_for_done() -> None:
    changes = plan({"psk": "two"}, applied({AP: {"psk": "one"}}))

    assert where(changes, {AP: DeviceState({"psk": "one"})}) == "todo"
    assert where(changes, {AP: DeviceState({"psk": "two"})}) == "done"


def test_a_release_is_stale_once_a_request_is_under_way() -> None:
    changes = list(diff(desired({}), applied({AP: {"vlan": 1}})))

    assert where(changes, {AP: DeviceState({"vlan": 1}, unknown=Intent({"vlan": 2}, ()))}) == "stale"

"""A plan may do what was reviewed, less of it, or again what was sent: nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from examples import AP, PLACE, Fleet, applied, desired, fields, fleets, unanswered
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.canonical import canonical
from reconciler.inventory.schema import packaged_schema
from reconciler.model import (
    ABSENT,
    Action,
    Change,
    DesiredState,
    Device,
    DeviceState,
    Intent,
    Json,
    Plan,
    Serial,
    Snapshot,
)
from reconciler.plan.body import body
from reconciler.plan.diff import diff
from reconciler.plan.marks import Marks
from reconciler.plan.plan_file import digest, from_json, to_json
from reconciler.plan.reviewed import unreviewed
from reconciler.pointer import patched

MARKS = Marks(secret=frozenset({"/psk"}))
PATCH: Mapping[str, Json] = {"status": "decommissioned"}
SCHEMA = packaged_schema("plan")


def never(_: str) -> bool:
    return False


def plan(new: Fleet, snapshot: Snapshot, patch: Mapping[str, Json] | None = None) -> Plan:
    changes = diff(desired(new), snapshot, marks=MARKS, decommission=patch)
    return Plan("lineage", 7, changes, 0, digest=digest(changes))


def saved(made: Plan) -> Plan:
    """As it comes back from the pull request: without secrets."""
    return from_json(to_json(made), SCHEMA)


def left(now: Plan, *reviewed: Plan, devices: Mapping[Serial, DeviceState] | None = None) -> tuple[Change, ...]:
    return unreviewed(now.changes, reviewed, devices or {}, merged=never)


def rows(changes: Iterable[Change]) -> set[tuple[str, str, str, str]]:
    return {
        (change.serial, field.path, repr(field.before is ABSENT or canonical(field.before)), _after(field.after))
        for change in changes
        for field in change.fields
    }


def _after(value: object) -> str:
    return repr(value is ABSENT or canonical(value))  # type: ignore[arg-type] # not ABSENT


@given(fleets, fleets, st.sampled_from([None, PATCH]))
def test_a_plan_covers_itself_also_as_a_file_without_its_secrets(
    old: Fleet, new: Fleet, patch: Mapping[str, Json] | None
) -> None:
    with_secret = {serial: {**held, "psk": "s3cr3t"} for serial, held in new.items()}
    made = plan(with_secret, applied(old), patch)

    assert left(made, saved(made)) == ()


@given(fleets, fleets)
def test_without_a_reviewed_plan_everything_is_unreviewed(old: Fleet, new: Fleet) -> None:
    made = plan(new, applied(old))

    assert left(made) == made.changes


@given(fleets, fleets, fleets)
def test_exactly_the_fields_are_left_that_no_reviewed_plan_has(old: Fleet, seen: Fleet, new: Fleet) -> None:
    now, reviewed = plan(new, applied(old)), plan(seen, applied(old))
    kinds = {change.serial: change.action for change in reviewed.changes}
    assume(all(kinds.get(change.serial, change.action) is change.action for change in now.changes))

    assert rows(left(now, reviewed)) == rows(now.changes) - rows(reviewed.changes)


@given(fleets, fleets, st.data())
def test_a_run_can_be_repeated_wherever_it_was_cut_off(old: Fleet, new: Fleet, data: st.DataObject) -> None:
    reviewed = plan(new, applied(old))
    devices = dict(applied(old).devices)
    for change in reviewed.changes:
        state = devices.get(change.serial, DeviceState({}))
        became = data.draw(st.sampled_from(["done", "in flight", "not attempted"]))
        sent = body(change, state.fields, merged=never)
        if became == "done" and change.action is Action.RELEASE:
            del devices[change.serial]
        elif became == "done":
            held = patched(state.fields, [(field.path, field.after) for field in change.fields])
            devices[change.serial] = DeviceState(held)
        elif became == "in flight" and sent:
            devices[change.serial] = replace(state, unknown=Intent(sent, change.fields))

    again = plan(new, Snapshot("lineage", 8, devices))

    assert left(again, saved(reviewed), devices=devices) == ()


@given(fields, fields, fields)
def test_what_an_earlier_run_sent_without_an_answer_may_be_sent_again_beside_what_is_reviewed(
    held: dict[str, Json], sent: dict[str, Json], new: dict[str, Json]
) -> None:
    """The second pull request was planned before the first was applied, and the first run crashed."""
    assume(sent)
    first = {**held, **sent}
    new = {**first, **{f"new {name}": value for name, value in new.items()}}
    reviewed = plan(
        {AP: {**held, **{name: value for name, value in new.items() if name not in sent}}}, applied({AP: held})
    )
    snapshot = unanswered(held, sent)

    assert left(plan({AP: new}, snapshot), reviewed, devices=snapshot.devices) == ()


def test_what_an_earlier_run_sent_is_no_leave_to_send_something_else() -> None:
    snapshot = unanswered({"vlan": 1}, {"vlan": 2})

    [change] = left(plan({AP: {"vlan": 3}}, snapshot), devices=snapshot.devices)

    assert [(field.before, field.after) for field in change.fields] == [(1, 3)]


def test_the_plans_of_several_pull_requests_cover_what_was_merged_together() -> None:
    held = applied({AP: {"vlan": 1, "name": "a"}})
    both = plan({AP: {"vlan": 2, "name": "b"}}, held)
    one, other = plan({AP: {"vlan": 2, "name": "a"}}, held), plan({AP: {"vlan": 1, "name": "b"}}, held)

    assert left(both, one, other) == ()
    assert [field.path for change in left(both, one) for field in change.fields] == ["/name"]


def test_the_same_value_from_another_one_is_not_what_was_reviewed() -> None:
    reviewed = plan({AP: {"vlan": 3}}, applied({AP: {"vlan": 1}}))
    now = plan({AP: {"vlan": 3}}, applied({AP: {"vlan": 2}}))

    assert left(now, reviewed) == now.changes


def test_one_and_true_are_two_values() -> None:
    held = applied({AP: {"vlan": 0}})

    assert left(plan({AP: {"vlan": True}}, held), plan({AP: {"vlan": 1}}, held)) != ()


def test_a_secret_is_covered_only_where_the_rest_of_the_device_is_as_reviewed() -> None:
    old: dict[str, Json] = {"psk": "one", "vlan": 1}
    new: dict[str, Json] = {"psk": "two", "vlan": 1}
    reviewed = saved(plan({AP: new}, applied({AP: old})))

    assert left(plan({AP: new}, applied({AP: old})), reviewed) == ()
    moved = left(plan({AP: {**new, "vlan": 2}}, applied({AP: {**old, "vlan": 2}})), reviewed)
    assert [field.path for change in moved for field in change.fields] == ["/psk"]


def test_a_secret_that_is_removed_is_not_one_that_is_changed() -> None:
    reviewed = saved(plan({AP: {"psk": "two"}}, applied({AP: {"psk": "one"}})))

    assert left(plan({AP: {}}, applied({AP: {"psk": "one"}})), reviewed) != ()


def test_to_decommission_is_not_to_release_and_neither_is_to_update() -> None:
    held = applied({AP: {"status": "active"}})
    release, decommission = plan({}, held), plan({}, held, PATCH)
    update = plan({AP: {"status": "decommissioned"}}, held)

    assert left(decommission, release) == left(decommission, update) == decommission.changes
    assert left(release, decommission) == left(release, update) == release.changes
    assert left(decommission, saved(decommission)) == left(release, saved(release)) == ()


def swapped(old: str, held: Snapshot, patch: Mapping[str, Json] | None = None) -> Plan:
    device = Device(AP, {"vlan": 1}, PLACE, replaces=Serial(old))
    return Plan("lineage", 7, diff(DesiredState({AP: device}), held, decommission=patch), 0)


def test_to_forget_another_device_than_the_reviewed_one_is_not_reviewed() -> None:
    held = applied({"OLD-1": {"vlan": 1}, "OLD-2": {"vlan": 1}})
    now, reviewed = swapped("OLD-1", held), swapped("OLD-2", held)

    assert Action.REPLACE in {change.action for change in now.changes}
    assert {change.serial for change in left(now, reviewed)} == {AP}
    assert left(now, now) == ()


def test_to_adopt_with_the_same_values_is_less_than_to_replace_and_not_more() -> None:
    replacing, adopting = swapped("OLD-1", applied({"OLD-1": {}})), swapped("OLD-1", applied({}))

    assert left(adopting, replacing) == ()
    assert left(replacing, adopting) == replacing.changes


def test_to_forget_the_replaced_device_by_itself_is_a_part_of_the_replacement() -> None:
    reviewed = swapped("OLD-1", applied({"OLD-1": {}}))
    now = swapped("OLD-1", applied({"OLD-1": {}, AP: {"vlan": 1}}))

    assert [change.action for change in now.changes] == [Action.RELEASE]
    assert left(now, reviewed) == ()


def test_to_keep_the_replaced_device_is_not_to_forget_it() -> None:
    held = applied({"OLD-1": {"status": "active"}})
    forgetting, keeping = swapped("OLD-1", held), swapped("OLD-1", held, PATCH)

    assert {change.serial for change in left(forgetting, keeping)} == {AP}
    assert {change.serial for change in left(keeping, forgetting)} == {"OLD-1"}
    assert left(keeping, saved(replace(keeping, digest=digest(keeping.changes)))) == ()

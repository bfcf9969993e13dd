import pytest
from examples import AP, LAPTOP, Fleet, after, applied, desired, fields, fleets, unanswered
from hypothesis import given
from hypothesis import strategies as st

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Action, DeviceState, Divergence, Intent, Json, Snapshot
from reconciler.plan.diff import Removed, diff, standing
from reconciler.plan.marks import Marks
from reconciler.pointer import patched

TAGS = Marks(set_like=frozenset({"/tags"}))


def everything(_: str) -> bool:
    return True


@given(fleets)
def test_a_fleet_compared_with_itself_has_no_changes(fleet: Fleet) -> None:
    assert diff(desired(fleet), applied(fleet)) == ()


@given(fleets, fleets, st.booleans())
def test_the_snapshot_and_the_changes_make_what_is_desired(old: Fleet, new: Fleet, merge: bool) -> None:  # noqa: FBT001
    reached: dict[str, Json] = {serial: dict(held) for serial, held in old.items()}
    for change in diff(desired(new), applied(old), merged=lambda _: merge):
        if change.action is Action.RELEASE:
            del reached[change.serial]
        else:
            edits = [(field.path, field.after) for field in change.fields]
            reached[change.serial] = patched(dict(old.get(change.serial, {})), edits)

    assert canonical(reached) == canonical({serial: dict(held) for serial, held in new.items()})


@given(fields, fields, st.sampled_from(["release", "null"]), st.booleans())
def test_a_second_plan_is_empty_whatever_becomes_of_removed_fields(
    old: dict[str, Json],
    new: dict[str, Json],
    removed: Removed,
    merge: bool,  # noqa: FBT001 - given
) -> None:
    [*changes] = diff(desired({AP: new}), applied({AP: old}), removed=removed, merged=lambda _: merge)
    reached = patched(old, [(field.path, field.after) for change in changes for field in change.fields])

    assert diff(desired({AP: new}), applied({AP: reached}), removed=removed, merged=lambda _: merge) == ()


def test_the_order_of_keys_in_a_list_is_no_change_and_the_type_of_a_number_is_one() -> None:
    held: list[Json] = [{"a": 1, "b": 2}]
    assert diff(desired({AP: {"list": [{"b": 2, "a": 1}]}}), applied({AP: {"list": held}})) == ()
    others: list[dict[str, Json]] = [{"a": 1.0, "b": 2}, {"a": True, "b": 2}]
    for other in others:
        [change] = diff(desired({AP: {"list": [other]}}), applied({AP: {"list": held}}))
        assert after(change) == [("/list", held, [other])]


def test_a_secret_of_a_new_device_is_one() -> None:
    [change] = diff(desired({AP: {"name": "a", "pin": "1"}}), applied({}), marks=Marks(secret=frozenset({"/pin/x"})))

    assert [(field.path, field.sensitive) for field in change.fields] == [("/name", False), ("/pin", True)]


def test_a_new_device_is_adopted_with_all_declared_fields() -> None:
    [change] = diff(desired({AP: {"name": "Lobby", "configuration": {"channel": 6}}}), applied({}))

    assert change.action is Action.ADOPT
    assert after(change) == [("/name", ABSENT, "Lobby"), ("/configuration", ABSENT, {"channel": 6})]


def test_a_device_gone_from_the_inventory_is_released_not_wiped() -> None:
    [change] = diff(desired({}), applied({AP: {"vlan": 10}}))

    assert (change.action, change.fields) == (Action.RELEASE, ())


def test_a_change_inside_an_object_is_shown_at_its_own_path() -> None:
    [change] = diff(
        desired({AP: {"configuration": {"radio": {"channel": 11, "width": 20}}}}),
        applied({AP: {"configuration": {"radio": {"channel": 6, "width": 20}}}}),
    )

    assert change.action is Action.UPDATE
    assert after(change) == [("/configuration/radio/channel", 6, 11)]


@pytest.mark.parametrize(("old", "new"), [(True, 1), (1, True), (1, 1.0), ("1", 1), (None, ""), ([], {}), (0.0, -0.0)])
def test_values_that_python_calls_equal_or_alike_still_differ(old: Json, new: Json) -> None:
    [change] = diff(desired({AP: {"x": {"y": new}}}), applied({AP: {"x": {"y": old}}}))

    assert len(change.fields) == 1


def test_a_list_changes_as_a_whole_even_if_one_item_moved() -> None:
    [change] = diff(desired({AP: {"dns": [{"ip": "9.9.9.9"}, 2]}}), applied({AP: {"dns": [{"ip": "1.1.1.1"}, 2]}}))

    assert after(change) == [("/dns", [{"ip": "1.1.1.1"}, 2], [{"ip": "9.9.9.9"}, 2])]


def test_a_list_that_the_schema_calls_unique_compares_as_a_set() -> None:
    assert diff(desired({AP: {"tags": ["b", "a"]}}), applied({AP: {"tags": ["a", "b"]}}), marks=TAGS) == ()
    assert len(diff(desired({AP: {"dns": ["b", "a"]}}), applied({AP: {"dns": ["a", "b"]}}), marks=TAGS)) == 1


def test_an_explicit_null_is_not_an_absent_field() -> None:
    [change] = diff(desired({AP: {"assigned_user": None}}), applied({AP: {}}))

    assert after(change) == [("/assigned_user", ABSENT, None)]


def test_a_field_gone_from_the_inventory_is_released_or_nulled_as_configured() -> None:
    [released] = diff(desired({AP: {}}), applied({AP: {"location": "Lobby"}}))
    [nulled] = diff(desired({AP: {}}), applied({AP: {"location": "Lobby"}}), removed="null")

    assert after(released) == [("/location", "Lobby", ABSENT)]
    assert after(nulled) == [("/location", "Lobby", None)]


def test_what_has_no_answer_is_resent_though_nothing_changed() -> None:
    [change] = diff(desired({AP: {"status": "active"}}), unanswered({"status": "active"}, {"status": "active"}))

    assert change.action is Action.RESEND
    assert after(change) == [("/status", "active", "active")]


def test_a_resend_covers_the_unknown_fields_and_the_new_changes_at_their_desired_values() -> None:
    snapshot = unanswered({"name": "a", "status": "x", "location": "l"}, {"status": "y"})
    [change] = diff(desired({AP: {"name": "b", "status": "x", "location": "l"}}), snapshot)

    assert change.action is Action.RESEND
    assert after(change) == [("/name", "a", "b"), ("/status", "y", "x")]


def test_an_unknown_object_that_is_sent_key_by_key_is_resent_whole() -> None:
    snapshot = unanswered({"configuration": {"a": 1, "b": 1}}, {"configuration": {"a": 2}})
    [change] = diff(desired({AP: {"configuration": {"a": 1, "b": 2}}}), snapshot, merged=everything)

    assert after(change) == [("/configuration", {"a": 2}, {"a": 1, "b": 2})]


def test_a_divergent_device_is_left_alone_until_asked() -> None:
    states = {AP: DeviceState({"status": "on"}, divergence=(Divergence("/status", "on", "off"),))}
    snapshot = Snapshot("lineage", 7, states)
    want = desired({AP: {"status": "on"}})

    assert diff(want, snapshot) == ()
    assert [item.serial for item in standing(snapshot, ())] == [AP]
    [change] = diff(want, snapshot, resend=True)
    assert (change.action, after(change)) == (Action.RESEND, [("/status", "off", "on")])
    assert standing(snapshot, [change]) == ()


def test_an_unconfirmed_device_stands_under_the_plan() -> None:
    snapshot = Snapshot(
        "lineage", 7, {AP: DeviceState({"status": "on", "name": "a"}, unconfirmed=frozenset({"status"}))}
    )

    assert [item.unconfirmed for item in standing(snapshot, ())] == [("status",)]
    [change] = diff(desired({AP: {"status": "on", "name": "a"}}), snapshot, resend=True)
    assert after(change) == [("/status", "on", "on")]


def test_a_secret_marks_the_change_and_leaves_no_trace_in_the_fingerprints() -> None:
    marks = Marks(secret=frozenset({"/configuration/psk"}))
    [one] = diff(desired({AP: {"configuration": {"psk": "one"}}}), applied({AP: {}}), marks=marks)
    [two] = diff(desired({AP: {"configuration": {"psk": "two"}}}), applied({AP: {}}), marks=marks)

    assert one.fields[0].sensitive
    assert one.after == two.after


def test_changes_come_in_the_order_of_serials() -> None:
    changes = diff(desired({LAPTOP: {"a": 1}, AP: {"a": 1}, "B": {"a": 1}}), applied({"A": {"a": 1}}))

    assert [change.serial for change in changes] == ["A", LAPTOP, AP, "B"]


def test_only_what_is_not_sent_now_stands_under_the_plan() -> None:
    divergence = (Divergence("/status", "on", "off"),)
    snapshot = Snapshot(
        "lineage",
        7,
        {
            AP: DeviceState({"status": "on"}, divergence=divergence),
            LAPTOP: DeviceState({"status": "on"}, unknown=Intent({"status": "on"}, ()), divergence=divergence),
        },
    )

    assert [item.serial for item in standing(snapshot, ())] == [AP], (
        "what is unknown is sent again, and so does not stand"
    )
    released = diff(desired({}), snapshot)
    assert standing(snapshot, released) == (), "what is forgotten is nobody's concern"


def test_an_unknown_field_that_left_the_inventory_is_nulled_where_that_is_the_rule() -> None:
    snapshot = unanswered({"name": "a"}, {"location": "x"})

    [nulled] = diff(desired({AP: {"name": "a"}}), snapshot, removed="null")
    [released] = diff(desired({AP: {"name": "a"}}), snapshot)
    assert after(nulled) == [("/location", "x", None)]
    assert after(released) == [("/location", "x", ABSENT)]


@pytest.mark.parametrize("size", [1, 20_000])
def test_a_number_that_becomes_true_is_a_change_beside_another_one(size: int) -> None:
    old: Fleet = {AP: {"configuration": {"x": 1, "y": 0, "z": "z" * size}}}
    new: Fleet = {AP: {"configuration": {"x": True, "y": 1, "z": "z" * size + "."}}}

    [change] = diff(desired(new), applied(old), merged=everything)

    assert [field.path for field in change.fields] == [f"/configuration/{key}" for key in "xyz"]

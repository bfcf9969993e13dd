"""A device that leaves the inventory gets one last PUT where the settings say so, and is then kept as it is."""

from collections.abc import Mapping

import pytest
from examples import AP, LAPTOP, after, applied, desired, fields, unanswered
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import StalePlan
from reconciler.model import ABSENT, Action, Change, DeviceState, Divergence, Draft, EntryKind, Intent, Json, Snapshot
from reconciler.plan.body import body
from reconciler.plan.diff import Removed, diff, standing
from reconciler.plan.marks import Marks
from reconciler.plan.secrets import bare, filled
from reconciler.plan.settle import settle
from reconciler.pointer import patched
from reconciler.state.fold import step

PATCH: Mapping[str, Json] = {"status": "decommissioned"}
NOBODY = desired({})


def left(snapshot: Snapshot, patch: Mapping[str, Json] = PATCH, *, resend: bool = False) -> list[Change]:
    return list(diff(NOBODY, snapshot, decommission=patch, resend=resend))


def where(change: Change, state: DeviceState | None) -> str:
    settled = settle([change], {AP: state} if state else {}, marks=Marks(), merged=lambda _: False)
    [found] = [name for name in ("todo", "done", "stale") if getattr(settled, name)]
    return found


def test_only_what_the_device_does_not_hold_of_the_patch_is_sent() -> None:
    held: Mapping[str, Json] = {"status": "active", "name": "Lobby", "location": "x"}
    [change] = left(applied({AP: held}), {"status": "decommissioned", "name": "Lobby", "assigned_user": None})

    assert (change.action, change.source) == (Action.DECOMMISSION, None)
    assert after(change) == [("/status", "active", "decommissioned"), ("/assigned_user", ABSENT, None)]
    assert body(change, held, merged=lambda _: False) == {"status": "decommissioned", "assigned_user": None}


def test_a_device_that_holds_the_patch_is_left_alone() -> None:
    assert left(applied({AP: {"status": "decommissioned", "name": "Lobby"}})) == []


@given(
    fields,
    st.dictionaries(st.sampled_from("ab"), fields, min_size=1),
    st.sampled_from(["release", "null"]),
    st.booleans(),
)
def test_a_second_plan_is_empty_whatever_the_patch(
    old: dict[str, Json],
    patch: Mapping[str, Json],
    removed: Removed,
    merge: bool,  # noqa: FBT001 - given
) -> None:
    def plan(held: Mapping[str, Json]) -> tuple[Change, ...]:
        return diff(NOBODY, applied({AP: held}), decommission=patch, removed=removed, merged=lambda _: merge)

    reached = patched(old, [(field.path, field.after) for change in plan(old) for field in change.fields])

    assert plan(reached) == ()


@given(fields, fields, st.booleans())
def test_whatever_had_no_answer_one_decommissioning_settles_it(
    old: dict[str, Json],
    new: dict[str, Json],
    merge: bool,  # noqa: FBT001 - given
) -> None:
    """The fold of the journal, not an opinion about it: intent, no answer, decommissioning, 200."""

    def merged(_: str) -> bool:
        return merge

    state: DeviceState | None = DeviceState(old)
    changes = [*diff(desired({AP: new}), applied({AP: old}), merged=merged)]
    for change in changes:
        state = DeviceState(old, unknown=Intent(body(change, old, merged=merged), change.fields))
    assert state is not None
    for change in diff(NOBODY, Snapshot(devices={AP: state}), decommission=PATCH, merged=merged):
        sent = body(change, state.fields, merged=merged)
        known = {name for name in (state.unknown.body if state.unknown else {}) if name in new}
        assert known <= sent.keys(), "all that has no answer is sent again"
        state = DeviceState(patched(state.fields, [(field.path, field.after) for field in change.fields]))

    assert {**state.fields} == {**({**new} if changes else old), **PATCH}
    assert diff(NOBODY, Snapshot(devices={AP: state}), decommission=PATCH, merged=merged) == ()


def test_what_has_no_answer_is_sent_again_together_with_the_patch() -> None:
    [change] = left(unanswered({"status": "active", "location": "x"}, {"location": "y"}))

    assert change.action is Action.DECOMMISSION
    assert after(change) == [("/status", "active", "decommissioned"), ("/location", "x", "y")]


def test_a_decommissioning_without_an_answer_is_a_resend() -> None:
    [change] = left(unanswered({"status": "active"}, {"status": "decommissioned"}))

    assert (change.action, change.source) == (Action.RESEND, None)
    assert after(change) == [("/status", "active", "decommissioned")]
    settled = step(
        unanswered({"status": "active"}, {"status": "decommissioned"}).devices[AP],
        Draft(EntryKind.APPLIED, "2026-11-24T12:00:00.000Z", "run", AP, {"status": 200, "attempts": 1}),
    )
    assert settled == DeviceState({"status": "decommissioned"})


def test_a_decommissioned_device_that_holds_something_else_stands_until_it_is_sent_again() -> None:
    state = DeviceState({"status": "decommissioned"}, divergence=(Divergence("/status", "decommissioned", "active"),))
    snapshot = Snapshot("lineage", 7, {AP: state})

    assert left(snapshot) == []
    assert [item.serial for item in standing(snapshot, ())] == [AP]
    [change] = left(snapshot, resend=True)
    assert (change.action, after(change)) == (Action.RESEND, [("/status", "active", "decommissioned")])


def test_a_device_that_comes_back_is_an_update() -> None:
    back = diff(desired({AP: {"status": "active"}}), applied({AP: {"status": "decommissioned"}}), decommission=PATCH)

    assert [change.action for change in back] == [Action.UPDATE]


def test_a_saved_decommissioning_may_be_applied_again_after_anything() -> None:
    [change] = left(applied({AP: {"status": "active"}}))

    assert where(change, DeviceState({"status": "active"})) == "todo"
    in_flight = Intent({"status": "decommissioned"}, change.fields)
    assert where(change, DeviceState({"status": "active"}, unknown=in_flight)) == "todo"
    assert where(change, DeviceState({"status": "decommissioned"})) == "done"
    assert where(change, DeviceState({"status": "maintenance"})) == "stale"
    assert where(change, None) == "stale"


MARKS = Marks(secret=frozenset({"/psk"}))


def saved(snapshot: Snapshot, patch: Mapping[str, Json]) -> Change:
    """As it comes back from a plan file: without secrets."""
    [change] = diff(NOBODY, snapshot, decommission=patch, marks=MARKS)
    bared = (
        type(item)(item.path, ABSENT, ABSENT, item.source, sensitive=True) if item.sensitive else item
        for item in change.fields
    )
    return Change(change.serial, change.action, tuple(bared), change.before, change.after, change.unknown)


@pytest.mark.parametrize(
    ("snapshot", "patch"),
    [
        (applied({AP: {"psk": "old", "status": "active"}}), {"psk": "wiped", **PATCH}),
        (unanswered({"psk": "old", "status": "active"}, {"psk": "new"}), PATCH),
    ],
)
def test_secrets_of_a_device_that_left_come_from_the_patch_and_the_snapshot(
    snapshot: Snapshot, patch: Mapping[str, Json]
) -> None:
    change = saved(snapshot, patch)
    assert bare([change]) == {AP}

    [whole] = filled([change], bare([change]), {}, snapshot.devices, marks=MARKS, decommission=patch)
    [field] = [field for field in whole.fields if field.sensitive]
    assert (field.before, field.after) == ("old", "wiped" if "psk" in patch else "new")


def test_a_saved_decommissioning_with_secrets_is_stale_once_the_settings_say_release() -> None:
    snapshot = applied({AP: {"psk": "old", "status": "active"}})
    change = saved(snapshot, {"psk": "wiped"})

    with pytest.raises(StalePlan, match="stopped being one to decommission"):
        filled([change], bare([change]), {}, snapshot.devices, marks=MARKS)


def test_others_are_as_they_were() -> None:
    changes = diff(
        desired({LAPTOP: {"vlan": 1}}), applied({AP: {"status": "active"}, LAPTOP: {"vlan": 1}}), decommission=PATCH
    )

    assert [change.serial for change in changes] == [AP]
    assert [change.action for change in diff(NOBODY, applied({AP: {}}))] == [Action.RELEASE]

from collections.abc import Mapping

import pytest
from examples import AP, Fleet, applied, desired, unanswered
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import DeviceState, Divergence, GuardCheck, Json, Snapshot
from reconciler.plan.diff import diff
from reconciler.plan.lifecycle import lived, strangers
from reconciler.policy import LifecycleSettings, OnRemovedSettings

WAYS = {"provisioning": ("active",), "active": ("maintenance", "decommissioned"), "maintenance": ("active",)}
LIFE = LifecycleSettings(transitions=WAYS)
OVER = OnRemovedSettings().patch


def check(
    new: Fleet, snapshot: Snapshot, settings: LifecycleSettings = LIFE, *, patch: Mapping[str, Json] | None = None
) -> GuardCheck:
    return lived(diff(desired(new), snapshot, decommission=patch), snapshot.devices, settings)


def moved(before: str, after: str, settings: LifecycleSettings = LIFE) -> GuardCheck:
    return check({AP: {"status": after}}, applied({AP: {"status": before}}), settings)


def test_a_move_that_the_table_has_passes() -> None:
    assert moved("provisioning", "active").passed
    assert moved("active", "maintenance").passed


def test_a_move_that_it_has_not_is_refused_and_says_where_the_way_leads() -> None:
    found = moved("provisioning", "maintenance")

    assert not found.passed
    assert found.message == "status: AP-0001 would go from provisioning to maintenance, which leads only to active"
    assert found.override.endswith("or: --allow lifecycle")


def test_a_value_without_a_line_has_no_way_out_and_the_message_names_the_line() -> None:
    found = moved("inactive", "active")

    assert not found.passed
    assert "and lifecycle.transitions has no line for inactive" in found.message


def test_without_a_table_every_move_is_fine() -> None:
    assert moved("provisioning", "retired", LifecycleSettings()).passed


@given(st.sampled_from([*WAYS, "retired"]), st.sampled_from([*WAYS, "retired"]))
def test_a_move_passes_if_and_only_if_the_table_has_it(before: str, after: str) -> None:
    assert moved(before, after).passed is (before == after or after in WAYS.get(before, ()))


def test_to_adopt_and_to_manage_the_field_from_now_on_or_no_longer_is_no_move() -> None:
    assert check({AP: {"status": "maintenance"}}, applied({})).passed
    assert check({AP: {"status": "maintenance"}}, applied({AP: {"vlan": 1}})).passed
    assert check({AP: {"vlan": 1}}, applied({AP: {"status": "active", "vlan": 1}})).passed


def test_a_field_inside_an_object_may_be_the_one() -> None:
    settings = LifecycleSettings(field="custom_fields.stage", transitions={"lab": ("field",)}, frozen=())
    before = applied({AP: {"custom_fields": {"stage": "lab", "x": 1}}})

    assert check({AP: {"custom_fields": {"stage": "field", "x": 1}}}, before, settings).passed
    assert not check({AP: {"custom_fields": {"stage": "shop", "x": 1}}}, before, settings).passed
    assert check({AP: {"custom_fields": "none"}}, before, settings).passed, "the field is no longer managed"


def test_to_send_again_what_has_no_answer_is_no_move_and_the_next_one_starts_from_both_ends() -> None:
    crashed = unanswered({"status": "provisioning"}, {"status": "maintenance"})

    assert check({AP: {"status": "maintenance"}}, crashed).passed
    assert check({AP: {"status": "active"}}, crashed).passed
    assert "from provisioning to decommissioned" in check({AP: {"status": "decommissioned"}}, crashed).message
    assert "from maintenance to decommissioned" in check({AP: {"status": "decommissioned"}}, crashed).message


def test_a_frozen_device_is_not_changed_in_any_field() -> None:
    gone = applied({AP: {"status": "decommissioned", "name": "a"}})

    for new in ({"status": "decommissioned", "name": "b"}, {"status": "active", "name": "a"}, {"name": "a"}):
        found = check({AP: new}, gone, LifecycleSettings())
        assert not found.passed
        assert "AP-0001: frozen, being decommissioned" in found.message
    assert check({AP: {"status": "decommissioned", "name": "a"}}, gone).passed
    assert check({AP: {"status": "active", "name": "a"}}, gone, LifecycleSettings(frozen=())).passed


def test_a_frozen_device_may_be_sent_again_what_it_was_sent_and_nothing_else() -> None:
    device = DeviceState({"status": "decommissioned"}, divergence=(Divergence("/status", "decommissioned", "active"),))
    snapshot = Snapshot("lineage", 7, {AP: device})
    again = diff(desired({AP: {"status": "decommissioned"}}), snapshot, resend=True)
    crashed = unanswered({"status": "decommissioned"}, {"name": "b"})

    assert again
    assert lived(again, snapshot.devices, LIFE).passed
    assert check({AP: {"status": "decommissioned", "name": "b"}}, crashed).passed
    assert not check({AP: {"status": "decommissioned", "name": "c"}}, crashed).passed


def test_decommissioning_obeys_the_table_and_is_the_one_change_of_a_frozen_device() -> None:
    assert check({}, applied({AP: {"status": "active"}}), patch=OVER).passed
    assert not check({}, applied({AP: {"status": "maintenance"}}), patch=OVER).passed
    assert check({}, applied({AP: {"status": "decommissioned"}}), patch={**OVER, "assigned_user": None}).passed


def test_a_device_that_comes_back_is_frozen() -> None:
    back = check({AP: {"status": "active"}}, applied({AP: {"status": "decommissioned"}}), LifecycleSettings())

    assert not back.passed


SCHEMA: dict[str, Json] = {
    "properties": {
        "status": {"enum": ["active", "decommissioned", None]},
        "custom_fields": {"properties": {"stage": {"enum": ["lab", "field"]}}},
    }
}


@pytest.mark.parametrize(
    ("settings", "patch", "says"),
    [
        (
            LifecycleSettings(transitions={"actve": ()}),
            None,
            ["lifecycle.transitions has 'actve', which the schema does not know as status; did you mean active?"],
        ),
        (
            LifecycleSettings(transitions={"active": ("zzz", "null")}),
            None,
            ["'zzz', which the schema does not know as status; there are active, decommissioned, null"],
        ),
        (LifecycleSettings(frozen=("decomissioned",)), None, ["lifecycle.frozen has 'decomissioned'"]),
        (LifecycleSettings(field="custom_fields.stage", transitions={"lap": ("field",)}), None, ["did you mean lab?"]),
        (LifecycleSettings(), {"status": "dead"}, ["on_removed.patch has 'dead'"]),
        (LifecycleSettings(), {"status": None, "name": "x"}, []),
        (LifecycleSettings(field="name", transitions={"a": ("b",)}, frozen=("c",)), None, []),
        (LifecycleSettings(field="custom_fields.stage"), None, []),
    ],
)
def test_a_station_that_the_schema_does_not_know_is_named(
    settings: LifecycleSettings, patch: Mapping[str, Json] | None, says: list[str]
) -> None:
    found = list(strangers(settings, patch, SCHEMA))

    assert len(found) == len(says)
    for words, part in zip(found, says, strict=True):
        assert part in words


def test_a_secret_cannot_be_the_field_of_the_lifecycle() -> None:
    schema: Json = {"properties": {"psk": {"type": "string", "writeOnly": True}}}

    [words] = strangers(LifecycleSettings(field="psk"), None, schema)
    assert "marks as a secret" in words

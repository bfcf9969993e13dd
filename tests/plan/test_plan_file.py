import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from examples import AP, LAPTOP, Fleet, applied, desired, fleets
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.canonical import sha256
from reconciler.errors import PlanFileError
from reconciler.inventory.schema import packaged_schema
from reconciler.model import ABSENT, NEVER_SENT, Divergence, GuardCheck, Json, Plan, Serial, Source, Standing
from reconciler.plan.diff import diff
from reconciler.plan.guard import RULES, guard
from reconciler.plan.marks import Marks
from reconciler.plan.plan_file import digest, from_json, to_json
from reconciler.policy import GuardSettings

SCHEMA = packaged_schema("plan")


def planned(
    new: Fleet,
    old: Fleet,
    marks: Marks | None = None,
    *,
    limits: GuardSettings | None = None,
    patch: Mapping[str, Json] | None = None,
) -> Plan:
    changes = diff(desired(new), applied(old), marks=marks, decommission=patch)
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    checks = guard(changes, applied(old).devices, limits=limits or GuardSettings(), moment=moment)
    return Plan("lineage", 7, changes, 3, digest=digest(changes), guards=checks)


def read(document: object) -> Plan:
    return from_json(json.loads(json.dumps(document)), SCHEMA)


@given(fleets, fleets, st.integers(0, 3), st.floats(0, 100), st.none() | st.just({"status": "decommissioned"}))
def test_a_plan_file_round_trips(
    new: Fleet, old: Fleet, most: int, share: float, patch: Mapping[str, Json] | None
) -> None:
    assume(not any(NEVER_SENT & held.keys() for held in new.values()))
    limits = GuardSettings(
        max_changed_pct=share, max_released_pct=share, floor=0, max_changed=most, max_adopted=most, protected=("a",)
    )
    plan = planned(new, old, limits=limits, patch=patch)

    assert read(to_json(plan)) == plan
    assert [check.rule for check in read(to_json(plan)).guards] == list(RULES)


def test_what_refuses_is_said_twice_and_read_once() -> None:
    plan = planned({}, {AP: {"vlan": 1}}, limits=GuardSettings(max_released=0))
    document = to_json(plan)

    assert [refusal.rule for refusal in plan.refusals] == ["max_released"]
    assert read(document | {"refusals": []}) == plan


def test_everything_beside_the_changes_round_trips_too() -> None:
    plan = planned({AP: {"vlan": 2}}, {AP: {"vlan": 1}})
    change = replace(plan.changes[0], fields=(replace(plan.changes[0].fields[0], source=Source("a.yaml", 3, 9)),))
    plan = replace(
        plan,
        changes=(change,),
        guards=(
            GuardCheck("protected", passed=False, message="no", override="do this"),
            GuardCheck("max_changed_pct", passed=True, message="1 of 3", measured=100 / 3, limit=50.0),
        ),
        standing=(Standing(AP, (Divergence("/vlan", 1, ABSENT),)),),
        targets=("AP-*",),
        observed=(replace(change, serial=Serial("AP-2")),),
        paused=(Serial("AP-3"),),
    )

    assert read(to_json(plan)) == plan


def test_the_digest_says_what_changes_and_not_where_it_is_written() -> None:
    plan = planned({AP: {"vlan": 2}}, {AP: {"vlan": 1}})
    moved = [replace(change, source=Source("elsewhere.yaml", 99)) for change in plan.changes]

    assert digest(moved) == plan.digest
    assert planned({AP: {"vlan": 2}}, {AP: {"vlan": None}}).digest != plan.digest
    assert planned({AP: {"vlan": 2}}, {AP: {}}).digest != plan.digest
    assert planned({}, {AP: {}}).digest != planned({}, {Serial("AP-2"): {}}).digest


@given(fleets, fleets)
def test_the_digest_is_that_of_the_canonical_spelling_of_every_field(new: Fleet, old: Fleet) -> None:
    plan = planned(new, old, Marks(secret=frozenset({"/a"})))
    document: Any = to_json(plan)
    rows = [
        {"serial": change["serial"], "action": change["action"]} | field
        for change in document["changes"]
        for field in change["fields"] or [{}]
    ]

    assert plan.digest == sha256(rows)


def test_no_secret_is_ever_in_a_plan_file() -> None:
    marks = Marks(secret=frozenset({"/configuration/psk"}))
    plan = planned({AP: {"configuration": {"psk": "hunter2", "x": 1}}}, {AP: {"configuration": {"psk": "old"}}}, marks)
    document = json.dumps(to_json(plan))

    assert "hunter2" not in document
    assert '"old"' not in document
    assert [field.sensitive for field in read(to_json(plan)).changes[0].fields] == [True, False]


def test_who_is_observed_or_paused_is_counted_apart_and_is_not_in_the_digest() -> None:
    plan = planned({AP: {"vlan": 2}}, {AP: {"vlan": 1}})
    more = replace(plan, observed=(replace(plan.changes[0], serial=Serial("AP-2")),), paused=(Serial("AP-3"),))
    document: Any = to_json(more)

    assert document["digest"] == plan.digest
    assert {key: count for key, count in document["summary"].items() if count} == {
        "update": 1,
        "unchanged": 3,
        "observed": 1,
        "paused": 1,
    }


def test_no_secret_of_an_observed_device_is_in_a_plan_file() -> None:
    plan = planned({AP: {"psk": "hunter2"}}, {AP: {"psk": "old"}}, Marks(secret=frozenset({"/psk"})))
    observed = replace(plan, changes=(), observed=plan.changes, digest=digest(()))
    document: Any = to_json(observed)
    assert "hunter2" not in json.dumps(document)
    assert '"old"' not in json.dumps(document)

    document["observed"][0]["fields"][0]["after"] = "EVIL"
    with pytest.raises(PlanFileError, match="holds a value for the secret"):
        read(document)


def _edit(document: Any, **edits: object) -> object:  # noqa: ANN401 - JSON
    document["changes"][0]["fields"][0].update(edits)
    return document


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda _: [], "not a plan"),
        (lambda _: None, "not a plan"),
        (lambda document: document | {"format_version": 2}, "version 2"),
        (lambda document: document | {"surprise": 1}, "surprise"),
        (lambda document: {key: value for key, value in document.items() if key != "digest"}, "digest"),
        (lambda document: _edit(document, after=3), "edited"),
        (lambda document: _edit(document, path="vlan"), "path"),
        (lambda document: document | {"changes": [document["changes"][0] | {"serial": "../x"}]}, "serial"),
        (lambda document: document | {"changes": [document["changes"][0] | {"serial": "x\n"}]}, "schema"),
    ],
)
def test_a_damaged_plan_file_is_refused_in_words(damage: Any, says: str) -> None:  # noqa: ANN401 - a function
    document = to_json(planned({AP: {"vlan": 2}}, {AP: {"vlan": 1}}))

    with pytest.raises(PlanFileError, match=says):
        read(damage(document))


@pytest.mark.parametrize("name", ["operation", "operation_type", "id", "serial_number"])
def test_a_plan_file_cannot_smuggle_in_what_is_never_sent(name: str) -> None:
    plan = planned({AP: {name: "reboot"}}, {AP: {}})

    with pytest.raises(PlanFileError, match="never sent"):
        read(to_json(plan))


def test_a_value_slipped_into_a_secret_is_refused() -> None:
    plan = planned({AP: {"psk": "one"}}, {AP: {}}, Marks(secret=frozenset({"/psk"})))
    document: Any = to_json(plan)
    document["changes"][0]["fields"][0]["after"] = "EVIL"

    with pytest.raises(PlanFileError, match="holds a value for the secret"):
        read(document)


def test_a_serial_that_is_named_twice_is_refused() -> None:
    plan = planned({AP: {"vlan": 2}}, {AP: {"vlan": 1}})
    twice = replace(plan, changes=(*plan.changes, *plan.changes), digest=digest([*plan.changes, *plan.changes]))

    for wrong in (twice, replace(plan, observed=plan.changes), replace(plan, paused=(AP,))):
        with pytest.raises(PlanFileError, match="twice"):
            read(to_json(wrong))


def test_devices_that_would_wait_for_each_other_for_ever_are_refused() -> None:
    plan = planned({AP: {"vlan": 2}, LAPTOP: {"vlan": 2}}, {AP: {"vlan": 1}, LAPTOP: {"vlan": 1}})
    first, second = plan.changes
    itself = (replace(first, waits_for=first.serial), second)
    both = (replace(first, waits_for=second.serial), replace(second, waits_for=first.serial))

    for changes in (itself, both):
        with pytest.raises(PlanFileError, match="which waits itself"):
            read(to_json(replace(plan, changes=changes, digest=digest(changes))))

"""Where a plan says that the value of a field is written, by either way of planning."""

import json
from dataclasses import replace
from pathlib import Path

from conftest import Declare

from reconciler import reconcile
from reconciler.config import Settings, load
from reconciler.model import Plan, Source
from reconciler.plan.plan_file import to_json
from reconciler.report.text import plan_text

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"pin": {"writeOnly": True}, "serial_number": {"type": "string"}},
}


def told(plan: Plan) -> dict[str, tuple[Source | None, bool, bool]]:
    return {
        field.path: (field.source, field.own, field.sensitive) for change in plan.changes for field in change.fields
    }


def planned(tmp_path: Path, serial: str) -> Plan:
    settings: Settings = load(tmp_path, {"RECONCILER_SCHEMA": "schema.json"})
    plan, other = reconcile.plan(settings), reconcile.plan(settings, targets=[serial])
    assert told(plan) == told(other)
    assert plan_text(plan, full=True) == plan_text(replace(other, targets=()), full=True)
    return plan


def test_adopted_fields_stand_where_they_are_decided(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    declare("_defaults.yaml", "status: active\nnote: shared\nmap: {low: 1}\n")
    declare(
        "a.yaml",
        """\
        serial_number: A
        pin: "1234"
        "a/b": 1
        "a~1b": 2
        "c~d": 3
        name: one
        map: {own: 1}
        $unset: [note]
        $override: {name: {value: two, until: 2099-01-01, reason: a test}}
        """,
    )
    own, shared = "inventory/a.yaml", "inventory/_defaults.yaml"

    assert told(planned(tmp_path, "A")) == {
        "/status": (Source(shared, 1, 9), False, False),
        "/map": (Source(own, 7, 6), True, False),
        "/pin": (Source(own, 2, 6), True, True),
        "/a~1b": (Source(own, 3, 8), True, False),
        "/a~01b": (Source(own, 4, 9), True, False),
        "/c~0d": (Source(own, 5, 8), True, False),
        "/name": (Source(own, 9, 27), True, False),
    }


def test_keys_that_pointers_spell_alike_have_places_of_their_own(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    declare("a.yaml", 'serial_number: A\n"a~1b": 1\n"a/b": 2\n"~0": 3\n"~": 4\n')

    assert [(path, source and source.line) for path, (source, _, _) in told(planned(tmp_path, "A")).items()] == [
        ("/a~01b", 2),
        ("/a~1b", 3),
        ("/~00", 4),
        ("/~0", 5),
    ]


def test_the_devices_of_a_list_have_places_of_their_own(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    declare(
        "all.yaml",
        "defaults: {site: x}\ndevices:\n  - serial_number: A\n    name: a\n  - {serial_number: B, name: b}\n",
    )
    file = "inventory/all.yaml"

    plan = planned(tmp_path, "*")

    assert [[(field.source, field.own) for field in change.fields] for change in plan.changes] == [
        [(Source(file, 1, 18), False), (Source(file, 4, 11), True)],
        [(Source(file, 1, 18), False), (Source(file, 5, 30), True)],
    ]


def test_two_files_that_messages_call_the_same_are_planned(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    declare("a\x01.yaml", "devices: [{serial_number: A, name: x}]")
    declare("a\\x01.yaml", "serial_number: B\nname: y")

    plan = reconcile.plan(load(tmp_path, {"RECONCILER_SCHEMA": "schema.json"}))

    assert [change.serial for change in plan.changes] == ["A", "B"]


def test_a_secret_of_a_first_plan_is_not_shown(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    declare("a.yaml", "serial_number: A\npin: hunter2\n")

    plan = planned(tmp_path, "A")

    assert "hunter2" not in plan_text(plan, full=True)
    assert "hunter2" not in json.dumps(to_json(plan))
    assert "(sensitive)" in plan_text(plan)

"""Devices against the schema, from YAML text to the words a user reads."""

# ruff: noqa: E501 - tables of messages, one line each

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config import Settings
from reconciler.inventory.compile import Schema, compiled
from reconciler.inventory.document import Candidate, Finding
from reconciler.inventory.merge import ListRules
from reconciler.inventory.schema import packaged_schema
from reconciler.inventory.validate import spots, validate
from reconciler.model import Json, Serial, Source
from reconciler.reconcile import validate as validate_inventory


def settings(tmp_path: Path, text: str, schema: Json = None) -> Settings:
    (tmp_path / "inventory").mkdir(exist_ok=True)
    (tmp_path / "inventory" / "a.yaml").write_text(text)
    if schema is not None:
        (tmp_path / "own.schema.json").write_text(json.dumps(schema, indent=2))
    own = tmp_path / "own.schema.json" if schema is not None else None
    return Settings(root=tmp_path, inventory=tmp_path / "inventory", schema=own)


def told(tmp_path: Path, text: str, schema: Json = None) -> list[str]:
    """What a user is told: place, code, message, fix."""
    problems = validate_inventory(settings(tmp_path, text, schema)).problems
    return [f"{p.source.file}:{p.source.line}:{p.source.column} {p.code} {p.message} -> {p.fix}" for p in problems]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("stauts: active", '2:1 RC401 A.stauts is not a field that the schema knows -> did you mean "status"?'),
        ("Status: active", '2:1 RC401 A.Status is not a field that the schema knows -> did you mean "status"?'),
        ("device-type: x", '2:1 RC401 A.device-type is not a field that the schema knows -> did you mean "device_type"?'),
        ("id: 5", "2:1 RC402 A.id belongs to the server, which sets it by itself -> delete this line"),
        ("name:", "2:6 RC405 A.name is null; expected a string of at least 1 character -> write a value, or delete this line"),
        ("location: null", "2:11 RC405 A.location is null; expected a string -> write a value, or delete this line"),
        ("model: 05520", '2:8 RC405 A.model is 5520; expected a string -> write it in quotes: "05520"'),
        ("model: true", '2:8 RC405 A.model is true; expected a string -> write it in quotes: "true"'),
        ("tags: a", '2:7 RC405 A.tags is "a"; expected a list -> write it as a list: [a, b]'),
        ("tags: [a, 1.0]", '2:11 RC405 A.tags[1] is 1.0; expected a string of at least 1 character -> write it in quotes: "1.0"'),
        ("tags: [a, b, a]", '2:7 RC408 A.tags holds "a" twice -> delete one of the two'),
        ("configuration: [1]", "2:16 RC405 A.configuration is a list of 1; expected a mapping -> correct the value; if it is right, change the schema"),
        ("configuration: {auto_update: yes}", '2:30 RC405 A.configuration.auto_update is "yes"; expected true or false -> write true: yes is text in YAML 1.2'),
        ("configuration: {auto_update: OFF}", '2:30 RC405 A.configuration.auto_update is "OFF"; expected true or false -> write false: OFF is text in YAML 1.2'),
        ('configuration: {auto_update: "True"}', '2:30 RC405 A.configuration.auto_update is "True"; expected true or false -> write true, without quotes'),
        ("assigned_user: nobody", '2:16 RC407 A.assigned_user is "nobody"; expected an e-mail address or null -> write it as in john.doe@company.com'),
        ("custom_fields: {purchase_date: 2023-02-29}", '2:32 RC407 A.custom_fields.purchase_date is "2023-02-29"; expected a date as YYYY-MM-DD -> write a day of the calendar as in 2024-01-15'),
        ("assigned_user: john@company", '2:16 RC407 A.assigned_user is "john@company"; expected an e-mail address or null -> write it as in john.doe@company.com'),
        ('name: ""', '2:7 RC410 A.name is ""; expected a string of at least 1 character -> correct the value; if it is right, change the schema'),
    ],
)  # fmt: skip
def test_a_wrong_field_is_told_with_its_place_its_value_and_the_way_out(
    tmp_path: Path, line: str, expected: str
) -> None:
    assert told(tmp_path, f"serial_number: A\n{line}\n") == [f"inventory/a.yaml:{expected}"]


def test_a_wrong_choice_is_told_with_the_choices_and_the_nearest(tmp_path: Path) -> None:
    [problem] = told(tmp_path, "serial_number: A\nstatus: Active\n")

    assert "expected one of active, inactive, maintenance, provisioning, decommissioned, retired" in problem
    assert problem.endswith("did you mean active?")


@pytest.mark.parametrize("key", ["operation", "operation_type"])
def test_operations_are_refused_even_by_a_schema_that_allows_everything(tmp_path: Path, key: str) -> None:
    [problem] = told(tmp_path, f"serial_number: A\n{key}: reboot\n", {})

    assert f"2:1 RC403 A.{key} would make newer servers execute it" in problem


@pytest.mark.parametrize("key", ["id", "created_at", "updated_at", "last_seen"])
def test_so_are_the_servers_own_fields(tmp_path: Path, key: str) -> None:
    [problem] = told(tmp_path, f"serial_number: A\n{key}: 1\n", {"properties": {key: {"type": "integer"}}})

    assert f"2:1 RC402 A.{key}" in problem


def test_these_names_are_free_inside_custom_fields(tmp_path: Path) -> None:
    assert told(tmp_path, "serial_number: A\ncustom_fields: {id: 1, operation: x}\n") == []


def test_all_problems_come_at_once_in_order_of_place(tmp_path: Path) -> None:
    text = "serial_number: 07\nmodel: 1\nstatus: &x on\nname: a\nname: b\nlocation: .nan\nfoo: 1\n"

    codes = [line.split()[:2] for line in told(tmp_path, text)]

    assert codes == [
        ["inventory/a.yaml:1:16", "RC305"],
        ["inventory/a.yaml:2:8", "RC405"],
        ["inventory/a.yaml:3:9", "RC203"],
        ["inventory/a.yaml:3:9", "RC406"],
        ["inventory/a.yaml:5:1", "RC202"],
        ["inventory/a.yaml:6:11", "RC208"],
        ["inventory/a.yaml:7:1", "RC401"],
    ]


def test_a_value_that_stands_in_for_an_unreadable_one_has_no_problems_of_its_own(tmp_path: Path) -> None:
    text = "serial_number: *s\nstatus: *a\nname: .inf\nmodel: 99999999999999999\n5: x\nlocation: 5\nlocation: 6\n"

    codes = [line.split()[1] for line in told(tmp_path, text)]

    assert codes == ["RC203", "RC203", "RC208", "RC209", "RC207", "RC202", "RC405"]


def test_an_unquoted_serial_is_shown_quoted_as_it_is_spelled(tmp_path: Path) -> None:
    [problem] = told(tmp_path, "serial_number: 00123\n")

    assert problem.endswith(
        '1:16 RC305 serial_number reads as a number; it must be a string -> write it in quotes: "00123"'
    )


def test_a_duplicate_serial_names_the_other_place(tmp_path: Path) -> None:
    [problem] = told(tmp_path, "devices:\n- serial_number: A\n- serial_number: A\n")

    assert "inventory/a.yaml:3:18 RC307 A is declared twice; first at inventory/a.yaml:2:18" in problem


def test_a_device_in_a_list_without_a_serial_is_called_by_its_place(tmp_path: Path) -> None:
    assert any("devices[0].tags[0] is 5" in line for line in told(tmp_path, "devices:\n- tags: [5]\n"))


RULES: list[tuple[Json, str, str]] = [
    ({"type": "integer", "minimum": 1, "maximum": 4094}, '"abc"', 'is "abc"; expected an integer from 1 to 4094'),
    ({"type": "integer", "minimum": 1, "maximum": 4094}, "5000", "is 5000; expected an integer from 1 to 4094"),
    ({"type": "integer"}, "true", "is true; expected an integer"),
    ({"type": "number", "exclusiveMinimum": 0}, "0", "is 0; expected a number above 0"),
    ({"type": "integer", "multipleOf": 5}, "7", "is 7; expected an integer that is a multiple of 5"),
    ({"const": "x"}, "y", 'is "y"; expected "x"'),
    ({"enum": [1, None, "a"]}, "y", 'is "y"; expected one of 1, null, a'),
    ({"type": "string", "pattern": "^AP-"}, "x", 'is "x"; expected a string that matches ^AP-'),
    ({"type": "string", "maxLength": 2}, "abc", 'is "abc"; expected a string of at most 2 characters'),
    ({"type": "array", "maxItems": 1}, "[1, 2]", "is a list of 2; expected a list of at most 1 item"),
    ({"type": "object", "minProperties": 1}, "{}", "is a mapping of 0; expected a mapping of at least 1 key"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", 'is "x"; expected an integer or null'),
    ({"format": "date-time"}, "2024-01-15T09:30:00", "expected a time as YYYY-MM-DDTHH:MM:SSZ"),
    ({"type": "string", "format": "ipv4"}, "10.0.0.256", 'is "10.0.0.256"; expected an IPv4 address'),
    ({"not": {"type": "string"}}, "x", 'breaks the rule "not" of the schema'),
    ({"contains": {"const": 1}}, "[2]", 'breaks the rule "contains" of the schema'),
    ({"$ref": "#/$defs/port"}, "x", 'is "x"; expected an integer of at most 9'),
    ({"required": ["vlan"]}, "{a: 1}", "A.field has no vlan"),
    ({"propertyNames": {"maxLength": 1}}, "{abc: 1}", "has a key that the schema does not allow"),
    (False, "1", "A.field is not allowed by the schema"),
]


@pytest.mark.parametrize(("rule", "value", "words"), RULES)
def test_a_users_own_rule_is_put_into_words(tmp_path: Path, rule: Json, value: str, words: str) -> None:
    schema: Json = {"$defs": {"port": {"type": "integer", "maximum": 9}}, "properties": {"field": rule}}

    [problem] = told(tmp_path, f"serial_number: A\nfield: {value}\n", schema)

    assert words in problem


@pytest.mark.parametrize("value", ["2024-01-15T09:30:00Z", "2024-01-15T09:30:00.123+02:00"])
def test_good_times_pass(tmp_path: Path, value: str) -> None:
    assert told(tmp_path, f"serial_number: A\nt: {value}\n", {"properties": {"t": {"format": "date-time"}}}) == []


SECRET: Json = {
    "properties": {"configuration": {"properties": {"psk": {"type": "string", "minLength": 12, "writeOnly": True}}}}
}


@pytest.mark.parametrize("value", ["hunter2", "31337", "[hunter2, hunter2]"])
def test_a_secret_is_never_repeated(tmp_path: Path, value: str) -> None:
    text = f"serial_number: A\nconfiguration: {{psk: {value}, psk2: &x 1}}\n"
    problems = validate_inventory(settings(tmp_path, text, SECRET)).problems

    assert [p.code for p in problems if "a value that is not shown" in p.message]
    assert "RC203" in {p.code for p in problems}
    assert "hunter2" not in str(problems)
    assert "31337" not in str(problems)


# --- the schema itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ("{\n  oops", "own.schema.json:2:3 RC502 the schema is not JSON"),
        ("", "own.schema.json:1:1 RC502"),
        ("[" * 100_000, "own.schema.json:1:1 RC502"),
        ("[]", "own.schema.json:1:1 RC503"),
        ('{"properties": {"a": {"type": "strin"}}}', "own.schema.json:1:31 RC503"),
        ('{"properties": {"a": {"pattern": "("}}}', 'own.schema.json:1:34 RC503 the schema is wrong: "(" is not a "regex"'),
        ('{"properties": {"a": {"format": "emial"}}}', "own.schema.json:1:33 RC503 the schema is wrong: Unknown format: 'emial'"),
        ('{"$schema": "http://json-schema.org/draft-07/schema#"}', "own.schema.json:1:13 RC503 the schema is written for http"),
        ('{"properties": {"a": {"$ref": "#/$defs/b"}}}', 'own.schema.json:1:31 RC504 "$ref": "#/$defs/b" leads nowhere'),
        ('{"properties": {"a": {"$ref": "http://127.0.0.1:9/s.json"}}}', "own.schema.json:1:31 RC504"),
        ('{"properties": {"a": {"$ref": "file:///etc/passwd"}}}', "own.schema.json:1:31 RC504"),
        ('{"properties": {"a": {"$ref": "device.schema.json"}}}', "own.schema.json:1:31 RC504"),
        ('{"pattern": "\\ud800"}', "own.schema.json:1:1 RC503"),
        ('{"minimum": NaN}', "own.schema.json:1:13 RC503"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_used_is_told_with_its_place(tmp_path: Path, schema: str, expected: str) -> None:
    given_settings = settings(tmp_path, "serial_number: A\n", {})
    (tmp_path / "own.schema.json").write_text(schema)

    [problem] = validate_inventory(given_settings).problems

    assert f"{problem.source} {problem.code} {problem.message}".startswith(expected)


def test_a_missing_schema_does_not_hide_the_problems_of_files(tmp_path: Path) -> None:
    given_settings = settings(tmp_path, "a: *b", {})
    (tmp_path / "own.schema.json").unlink()

    assert [p.code for p in validate_inventory(given_settings).problems] == ["RC304", "RC203", "RC501"]


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "^(a+)+$", "^(a|aa)+$", "(?=a)^(a+)+$", "^(?:(a+)+\\1)+$", "^(a|aa)+(?!x)$"]
)
def test_a_catastrophic_pattern_cannot_hang_the_run(tmp_path: Path, pattern: str) -> None:
    text = f"serial_number: A\nfield: {'a' * 50_000}!\n"
    began = time.process_time()

    [problem] = told(tmp_path, text, {"properties": {"field": {"pattern": pattern}}})

    assert time.process_time() - began < 5
    assert problem.split()[1] in {"RC409", "RC505"}
    if "RC505" in problem:
        assert problem.startswith("own.schema.json:4:18 ")


def test_the_packaged_schema_compiles_and_has_everything_an_editor_shows() -> None:
    document = packaged_schema("device")

    assert isinstance(compiled(document, "device"), Schema)
    assert document["required"] == ["serial_number"]
    assert document["$id"].startswith("urn:")
    properties: dict[str, Any] = document["properties"]
    for rule in (*properties.values(), *properties["configuration"]["properties"].values()):
        assert rule["title"]
        assert rule["description"].endswith(".")


def test_the_schema_for_editors_takes_both_file_forms() -> None:
    import jsonschema_rs

    device = packaged_schema("device")
    validator = jsonschema_rs.Draft202012Validator(
        packaged_schema("inventory"), base_uri="file:///schemas/inventory.schema.json", retriever=lambda _: device
    )

    assert validator.is_valid({"serial_number": "A", "status": "active"})
    assert validator.is_valid({"devices": [{"serial_number": "A"}, {"serial_number": "B", "tags": ["x"]}]})
    wrong: list[Json] = [
        {},
        {"name": "x"},
        {"devices": []},
        {"devices": [{"name": "x"}]},
        {"devices": [], "name": "x"},
        [],
    ]
    for document in wrong:
        assert not validator.is_valid(document), document


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PACKAGED = compiled(packaged_schema("device"), "device.schema.json")


@given(st.dictionaries(st.sampled_from([*packaged_schema("device")["properties"], "id", "x"]), any_json))
def test_a_device_is_valid_or_has_findings_at_distinct_pointers(value: dict[str, Json]) -> None:
    assert isinstance(PACKAGED, Schema)
    device: dict[str, Json] = {"serial_number": "A", **value}
    candidate = Candidate(Serial("A"), device, Source("a.yaml", 1), "")

    findings: list[Finding] = validate([candidate], PACKAGED, lambda _: False, spots(ListRules(), date.min))

    assert bool(findings) == (not PACKAGED.validator.is_valid(candidate.value))
    assert len({finding.pointer for finding in findings}) == len(findings)
    assert all(finding.message and finding.fix for finding in findings)

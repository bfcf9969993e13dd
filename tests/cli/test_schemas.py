"""`reconciler schemas` keeps the schemas for editors as the schema of devices is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from reconciler.model import Json

ROOT = Path(__file__).parents[2]
FILES = ["defaults.schema.json", "group.schema.json", "inventory.schema.json"]
DEVICE = {
    "properties": {
        "serial_number": {"type": "string"},
        "name": {"type": "string"},
        "radio": {"properties": {"band": {"$ref": "#/$defs/band"}}, "required": ["band"]},
    },
    "required": ["serial_number", "name"],
    "additionalProperties": False,
    "$defs": {"band": {"enum": [2, 5]}},
}


def test_those_of_this_repository_are_up_to_date(run: Run) -> None:
    ran = run("schemas", "--check", cwd=ROOT)

    assert (ran.code, ran.stdout) == (0, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "device.schema.json").write_text(json.dumps(DEVICE))
    return folder


def test_they_are_written_beside_the_schema_of_devices_and_only_when_it_changed(folder: Path, run: Run) -> None:
    assert run("schemas", "--check").code == 1
    assert sorted(run("schemas").stdout.splitlines()) == [f"{name} written" for name in FILES]
    assert sorted(file.name for file in folder.iterdir()) == sorted(["device.schema.json", *FILES])
    again = run("schemas")
    assert (again.code, again.stdout, again.stderr) == (0, "", "The schemas for editors are up to date.\n")
    assert run("schemas", "--check").code == 0


def test_one_that_is_no_text_is_not_up_to_date_and_is_written_anew(folder: Path, run: Run) -> None:
    run("schemas")
    file = folder / "inventory.schema.json"
    fine = file.read_bytes()
    file.write_bytes(b"\xff\xfe{")

    checked = run("schemas", "--check")
    assert (checked.code, checked.stderr) == (1, "")
    assert checked.stdout == "inventory.schema.json is not up to date; run: reconciler schemas\n"
    assert run("schemas").stdout == "inventory.schema.json written\n"
    assert file.read_bytes() == fine


def test_a_place_where_they_cannot_be_put_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schemas").touch()

    ran = run("schemas")
    assert (ran.code, ran.stderr) == (1, f"error: {tmp_path}/schemas: File exists\n")


def test_without_a_schema_of_ones_own_the_built_in_one_becomes_that(run: Run, tmp_path: Path) -> None:
    ran = run("schemas")

    assert ran.code == 0
    assert sorted(file.name for file in (tmp_path / "schemas").iterdir()) == sorted(["device.schema.json", *FILES])
    written = json.loads((tmp_path / "schemas" / "device.schema.json").read_text())
    assert written == json.loads((ROOT / "schemas" / "device.schema.json").read_text())
    assert run("schemas", "--check").code == 0


@pytest.mark.parametrize(
    ("file", "document", "fine"),
    [
        ("defaults", {"name": "x", "radio": {}, "$labels": {"a": "b"}, "$lock": ["name"]}, True),
        ("defaults", {"nme": "x"}, False),
        ("defaults", {"radio": {"band": 3}}, False),
        ("defaults", {"serial_number": "A"}, False),
        ("defaults", {"$override": {"name": {"value": "x", "until": "2027-01-31"}}}, False),
        ("group", {"group": "g", "select": {"name": "x"}, "set": {"radio": {"band": 5}, "$manage": "pause"}}, True),
        ("group", {"group": "g", "select": {"nme": "x"}, "set": {}}, False),
        ("group", {"group": "g", "select": {"name": "x"}, "set": {"$labels": {}}}, False),
        ("group", {"group": "g", "set": {}}, False),
        ("inventory", {"serial_number": "A", "$replaces": "B"}, True),
        ("inventory", {"name": "x"}, False),
        ("inventory", {"defaults": {"name": "x"}, "devices": [{"serial_number": "A"}]}, True),
        ("inventory", {"name": "x", "devices": [{"serial_number": "A"}]}, False),
    ],
)
def test_an_editor_sees_what_is_wrong_and_misses_nothing_that_a_layer_may_leave_out(
    folder: Path, run: Run, file: str, document: Json, *, fine: bool
) -> None:
    run("schemas")
    schemas = {path.name: json.loads(path.read_text()) for path in folder.iterdir()}
    registry: Registry[bool | Mapping[str, Any]] = Registry().with_resources(
        [
            (name, Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}))
            for name, schema in schemas.items()
        ]
    )

    assert Draft202012Validator(schemas[f"{file}.schema.json"], registry=registry).is_valid(document) == fine

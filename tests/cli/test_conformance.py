"""What the schema does not take is neither planned nor sent, wherever it comes from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Declare, Run

from reconciler.cli.output import read_plan
from reconciler.inventory.schema import packaged_schema
from reconciler.model import Json
from reconciler.plan.plan_file import digest, to_json
from reconciler.sandbox.server import Sandbox


def forge(file: Path, path: str, value: Json) -> None:
    """Lead the first device of a saved plan elsewhere, with the digest that fits."""
    plan = read_plan(file)
    first, *others = plan.changes
    fields = tuple(replace(field, after=value) if field.path == path else field for field in first.fields)
    assert fields != first.fields
    changes = (replace(first, fields=fields), *others)
    file.write_text(json.dumps(to_json(replace(plan, changes=changes, digest=digest(changes)))))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("/status", "exploded", 'AP-1.status is "exploded"; expected one of active'),
        ("/configuration/auto_update", "no", 'AP-1.configuration.auto_update is "no"; expected true or false'),
        ("/name", None, "AP-1.name is null; expected a string"),
    ],
)
def test_a_plan_file_that_was_edited_to_a_value_the_schema_refuses_sends_nothing(  # noqa: PLR0917 - passed by name
    path: str, value: Json, says: str, declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1", "AP-2")
    file = declare("a.yaml", serial_number="AP-1", status="active", name="x", configuration={"auto_update": True})
    declare("b.yaml", serial_number="AP-2", status="active")
    if path.count("/") == 2:
        assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
        file.write_text(file.read_text().replace("true", "false"))
        sandbox.forget_requests()
    run("plan", "--out", "p.json")
    forge(tmp_path / "p.json", path, value)
    ran = run("apply", "p.json", environ=sandbox.environ)

    assert (ran.code, sandbox.requests()) == (1, ())
    assert says in ran.stderr
    assert "nothing was sent; plan again" in ran.stderr


def test_what_a_plan_does_not_send_is_not_held_against_it(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A null that the schema took when it was sent stands in the state for as long as nobody sets the field again."""
    (tmp_path / "reconciler.toml").write_text('[on_removed]\nfield = "null"\n')
    (tmp_path / "schemas").mkdir()
    lax, strict = packaged_schema("device"), packaged_schema("device")
    lax["properties"]["location"]["type"] = ["string", "null"]
    schema = tmp_path / "schemas" / "device.schema.json"
    schema.write_text(json.dumps(lax))
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", location="Hall")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("a.yaml", serial_number="AP-1")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    assert sandbox.device("AP-1")["location"] is None
    schema.write_text(json.dumps(strict))
    declare("a.yaml", serial_number="AP-1", name="Lobby")

    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0


def test_a_removed_field_that_cannot_be_null_is_told_at_plan_time_with_its_device_and_the_way_out(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1", "AP-2")
    fleet = "devices:\n  - serial_number: AP-1\n    name: Lobby\n{}  - serial_number: AP-2\n    assigned_user: {}\n"
    declare("fleet.yaml", fleet.format("    status: active\n", "a@example.com"))
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    (tmp_path / "reconciler.toml").write_text('[on_removed]\nfield = "null"\n')
    declare("fleet.yaml", fleet.format("", "null"))
    sandbox.forget_requests()
    for command in (["plan"], ["apply", "--auto-approve"]):
        ran = run(*command, environ=sandbox.environ)

        assert (ran.code, ran.stdout) == (1, "")
        assert ran.stderr.startswith("inventory/fleet.yaml:2:5: AP-1.status is null; expected one of active,")
        assert 'it left the inventory, and on_removed.field is "null" [RC412]\n' in ran.stderr
        assert '\n  fix: restore the field, or set on_removed.field to "release": the device then' in ran.stderr
        assert "1 problem in 1 file." in ran.stderr
    assert sandbox.requests() == ()
    (tmp_path / "reconciler.toml").write_text("")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0

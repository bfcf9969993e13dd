import json
from pathlib import Path

import jsonschema_rs
import pytest
from conftest import Declare, Run

from reconciler.inventory.schema import packaged_schema
from reconciler.sandbox.server import Sandbox


def test_a_first_plan_adopts_every_device_and_changes_nothing_on_disk(
    declare: Declare, run: Run, tmp_path: Path
) -> None:
    declare("lobby.yaml", serial_number="AP-1", status="active")
    ran = run("plan")

    assert ran.code == 0
    assert "Plan: 1 to adopt, 0 to update, 0 to release. 0 unchanged." in ran.stdout
    assert "inventory/lobby.yaml:1" in ran.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["inventory"]


def test_only_the_changed_field_is_shown_with_its_line(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", "serial_number: AP-1\nstatus: active\nconfiguration:\n  channel: 6\n  dfs: true\n")
    declare("b.yaml", serial_number="AP-2", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("a.yaml", "serial_number: AP-1\nstatus: active\nconfiguration:\n  channel: 11\n  dfs: true\n")

    ran = run("plan", "--detailed-exitcode")

    assert ran.code == 2
    assert [line for line in ran.stdout.splitlines() if "→" in line] == ["    ~ configuration.channel  6 → 11  :4"]
    assert "Plan: 0 to adopt, 1 to update, 0 to release. 1 unchanged." in ran.stdout
    assert "status" not in ran.stdout


def test_no_changes_says_so_in_one_line_and_what_the_guards_found_below(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    run("apply", "--auto-approve", environ=sandbox.environ)
    ran = run("plan", "--detailed-exitcode")

    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == (
        "No changes. The one device is as declared.\n"
        "Guards: 0 changed (limit 30 %) · 0 released (limit 5 %) · fan-out 0 (no limit) · no field protected"
        " · no freeze window\n"
    )


def test_the_json_document_fits_its_schema_and_is_what_out_saves(declare: Declare, run: Run, tmp_path: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="active", tags=["a"])
    ran = run("plan", "--format", "json", "--out", "p.json")
    document = json.loads(ran.stdout)

    jsonschema_rs.validator_for(packaged_schema("plan")).validate(document)
    assert json.loads((tmp_path / "p.json").read_text()) == document
    assert (tmp_path / "p.json").stat().st_mode & 0o777 == 0o600
    [change] = document["changes"]
    assert (change["serial"], change["action"]) == ("AP-1", "adopt")
    assert change["source"]["file"] == "inventory/a.yaml"
    place = {"file": "inventory/a.yaml", "line": 3, "column": 13}
    assert {"path": "/status", "after": "active", "source": place} in change["fields"]


def test_a_plan_is_the_same_document_every_time(declare: Declare, run: Run) -> None:
    for number in range(20):
        declare(f"{number}.yaml", serial_number=f"AP-{number}", status="active", tags=["b", "a"])

    assert run("plan", "--format", "json").stdout == run("plan", "--format", "json").stdout


def test_show_prints_a_saved_plan(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    planned = run("plan", "--out", "p.json")
    shown = run("show", "p.json")

    assert (shown.code, shown.stdout) == (0, planned.stdout)


def test_show_refuses_what_is_no_plan(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"format_version": 1}')

    for file in ("p.json", "missing.json", "."):
        ran = run("show", file)
        assert ran.code == 1
        assert ran.stderr.startswith(f"error: {file}: ")


@pytest.mark.parametrize("value", ["1e999", "NaN", '"\\ud800"'])
def test_what_no_plan_can_say_is_no_plan(value: str, declare: Declare, run: Run, tmp_path: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    run("plan", "--out", "p.json")
    text = (tmp_path / "p.json").read_text()
    assert '"after": "active"' in text
    (tmp_path / "p.json").write_text(text.replace('"after": "active"', f'"after": {value}'))

    ran = run("show", "p.json")
    assert (ran.code, ran.stderr) == (1, "error: p.json: not JSON; make one with: reconciler plan --out FILE\n")


def test_a_target_narrows_the_plan(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="LT-1", status="active")

    narrowed = run("plan", "--target", "AP-*").stdout
    assert "Plan: 1 to adopt, 0 to update, 0 to release. 0 unchanged." in narrowed
    assert narrowed.startswith("Only devices that match: AP-*\n")
    ran = run("plan", "--target", "AP-11")
    assert (ran.code, ran.stderr) == (64, "error: --target 'AP-11' matches no device; did you mean AP-1?\n")


def test_a_broken_inventory_is_told_with_its_place_and_nothing_is_planned(declare: Declare, run: Run) -> None:
    declare("a.yaml", "serial_number: AP-1\nstatus: actve\n")
    ran = run("plan")

    assert (ran.code, ran.stdout) == (1, "")
    assert "inventory/a.yaml:2:9:" in ran.stderr


def test_a_fleet_that_changes_alike_is_shown_once(declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    serials = [f"AP-{number:03}" for number in range(40)]
    sandbox.seed(*serials)
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 1000\nburst = 100\n")
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="maintenance")

    ran = run("plan")
    assert ran.code == 0
    assert "AP-011, …\n" in ran.stdout
    assert "\n--full shows every device and every field.\n" in ran.stdout
    assert ran.stdout.count("maintenance") == 1
    assert "refused by max_changed_pct: the plan would update 40 of 40 devices (100 %); the limit is 30 %" in ran.stdout
    assert run("plan", "--full").stdout.count('"active" → "maintenance"') == 40


def test_one_line_that_changes_a_fleet_is_told_once(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    serials = [f"AP-{number:02}" for number in range(9)]
    sandbox.seed(*serials)
    declare("_defaults.yaml", 'device_type: kiosk\nstatus: active\nname: "k-{serial_number}"\n')
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial)
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("_defaults.yaml", 'device_type: kiosk\nstatus: maintenance\nname: "kiosk-{serial_number}"\n')

    ran = run("plan", "--out", "p.json")
    assert '~ inventory/_defaults.yaml:2  status  "active" → "maintenance"  on 9 devices\n' in ran.stdout
    assert ':3  name    → 9 different values  on 9 devices, such as AP-00: "kiosk-AP-00"\n' in ran.stdout
    assert len(json.loads((tmp_path / "p.json").read_text())["changes"]) == 9
    assert run("show", "p.json").stdout == ran.stdout


def test_observed_and_paused_devices_are_in_every_output_and_nothing_is_sent(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1", "AP-2", "AP-3", "AP-4")
    for number in range(1, 5):
        declare(f"{number}.yaml", serial_number=f"AP-{number}", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    for number, manage in enumerate(("observe", "pause", "observe"), start=1):
        status = "active" if number == 3 else "maintenance"
        declare(f"{number}.yaml", f"serial_number: AP-{number}\nstatus: {status}\n$manage: {manage}\n")

    ran = run("plan", "--detailed-exitcode", "--out", "p.json")
    assert ran.code == 0
    assert ran.stdout.splitlines()[:-1] == [
        "Observed, not sent ($manage: observe):",
        "  | ~ AP-1  inventory/1.yaml:1",
        '  |     ~ status  "active" → "maintenance"  :2',
        "",
        "Paused, left alone ($manage: pause): AP-2",
        "",
        "No changes. 2 devices are as declared, 1 observed and different, 1 paused.",
    ]
    assert run("show", "p.json").stdout == ran.stdout
    document = json.loads(run("plan", "--format", "json").stdout)
    assert [change["serial"] for change in document["observed"]] == ["AP-1"]
    assert (document["paused"], document["changes"]) == (["AP-2"], [])
    sent = len(sandbox.requests())
    assert run("apply", "p.json", environ=sandbox.environ).stdout == f"{ran.stdout.splitlines()[-2]}\n"
    assert len(sandbox.requests()) == sent


def test_a_secret_is_never_shown(declare: Declare, run: Run, tmp_path: Path) -> None:
    schema = packaged_schema("device")
    schema["properties"]["admin_password"] = {"type": "string", "writeOnly": True}
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text(json.dumps(schema))
    declare("a.yaml", "serial_number: AP-1\nadmin_password: hunter2\n")

    for form in ("text", "json", "markdown"):
        ran = run("plan", "--format", form, "--out", "p.json")
        assert ran.code == 0
        assert "hunter2" not in ran.stdout + ran.stderr + (tmp_path / "p.json").read_text()
    assert "admin_password  (sensitive)" in run("plan").stdout


def test_markdown_is_for_a_step_summary(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", name="```\n</details> @everyone ::error::")
    ran = run("plan", "--format", "markdown")

    assert ran.stdout.startswith("### Plan: 1 to adopt, 0 to update, 0 to release. 0 unchanged.\n")
    assert "\n````diff\n" in ran.stdout
    assert "\n::error" not in ran.stdout


def test_out_replaces_files_and_nothing_else(declare: Declare, run: Run, tmp_path: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    (tmp_path / "folder").mkdir()

    assert run("plan", "--out", "link.json").code == 0
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["format_version"] == 1
    refused = run("plan", "--out", "folder")
    assert (refused.code, "name another" in refused.stderr or "is a directory" in refused.stderr) == (
        refused.code,
        True,
    )
    assert refused.code != 0


def test_words_of_others_reach_the_terminal_in_one_harmless_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text('"\\u001b]0;p\\u0007\\n::error::x" = 1\n')
    ran = run("plan")

    assert ran.code == 1
    assert "\x1b" not in ran.stderr
    assert not any(line.startswith("::") for line in ran.stderr.splitlines())

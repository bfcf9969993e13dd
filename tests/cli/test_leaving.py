"""A device that leaves the inventory is decommissioned: the real command against the real sandbox."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
from conftest import Declare, Run, struck

from reconciler.inventory.schema import packaged_schema
from reconciler.sandbox.server import Sandbox

SETTINGS = (
    '[api]\nrate_per_second = 1000\nburst = 100\ntimeout = 1\nattempts = 1\n[on_removed]\ndevice = "decommission"\n'
)


@pytest.fixture(autouse=True)
def _decommissions(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(SETTINGS)


@pytest.fixture
def leaver(declare: Declare, run: Run, sandbox: Sandbox) -> Path:
    """AP-1 and AP-2 are applied; this is the file of AP-1. It has just been taken away."""
    sandbox.seed("AP-1", "AP-2")
    file = declare("a.yaml", serial_number="AP-1", status="active", name="Lobby")
    declare("b.yaml", serial_number="AP-2", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    sandbox.forget_requests()
    file.unlink()
    return file


def test_it_gets_one_last_put_and_the_next_plan_is_empty(leaver: Path, run: Run, sandbox: Sandbox) -> None:
    plan = run("plan").stdout
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert not leaver.exists()
    assert "x AP-1  no longer in the inventory: one last PUT, then kept\n" in plan
    assert '    ~ status  "active" → "decommissioned"' in plan
    assert "Plan: 0 to adopt, 0 to update, 0 to release, 1 to decommission. 1 unchanged." in plan
    assert "1 of 2 released" in plan
    assert (ran.code, "Apply: 1 applied" in ran.stdout) == (0, True)
    assert [(request.serial, request.body) for request in sandbox.requests("PUT")] == [
        ("AP-1", {"status": "decommissioned"})
    ]
    assert run("plan").stdout.startswith("No changes. The one device is as declared.\n")
    assert "decommission: status" in run("audit", "log", "--serial", "AP-1").stdout
    assert run("audit", "verify").code == 0
    listed = run("state", "list").stdout.splitlines()
    assert [line.split() for line in listed[1:]] == [["AP-1", "2", "frozen"], ["AP-2", "1", "applied"]]
    assert run("state", "show", "AP-1").stdout.startswith("AP-1  frozen\n")


def test_every_form_of_the_plan_and_the_report_know_it(
    leaver: Path, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    document = json.loads(run("plan", "--format", "json", "--out", "p.json").stdout)
    markdown = run("plan", "--format", "markdown").stdout
    ran = run("apply", "p.json", "--report", "r.json", environ=sandbox.environ)
    report = json.loads((tmp_path / "r.json").read_text())

    assert not leaver.exists()
    jsonschema_rs.validator_for(packaged_schema("plan")).validate(document)
    assert document["summary"]["decommission"] == 1
    assert [change["action"] for change in document["changes"]] == ["decommission"]
    assert "\n- AP-1  no longer in the inventory" in markdown
    assert ran.code == 0
    jsonschema_rs.validator_for(packaged_schema("report")).validate(report)
    assert [(item["action"], item["outcome"]) for item in report["outcomes"]] == [("decommission", "applied")]
    sandbox.forget_requests()
    again = run("apply", "p.json", environ=sandbox.environ)
    assert (again.code, "1 already done" in again.stdout) == (0, True)
    assert sandbox.requests("PUT") == ()
    listed = json.loads(run("state", "list", "--format", "json").stdout)
    jsonschema_rs.validator_for(packaged_schema("state")).validate(listed)


@pytest.mark.parametrize("again", ["plan anew", "the saved plan"])
def test_a_lost_response_is_asked_for_again(again: str, leaver: Path, run: Run, sandbox: Sandbox) -> None:
    run("plan", "--out", "p.json")
    sandbox.faults("drop-after-commit:first=1")
    lost = run("apply", "p.json", environ=sandbox.environ)

    assert not leaver.exists()
    assert struck(sandbox) == [("drop-after-commit",)]
    assert (lost.code, "unknown AP-1" in lost.stdout) == (3, True)
    plan = run("plan").stdout
    assert "! AP-1  the last PUT had no trustworthy answer: sent again" in plan
    assert "0 released (limit 5 %)" in plan, "what was agreed once is not counted again"
    sandbox.faults()
    sandbox.forget_requests()
    settled = run("apply", *(["p.json"] if again == "the saved plan" else ["--auto-approve"]), environ=sandbox.environ)
    assert settled.code == 0
    assert [request.body for request in sandbox.requests("PUT")] == [{"status": "decommissioned"}]
    assert run("plan").stdout.startswith("No changes.")
    assert sandbox.device("AP-1")["status"] == "decommissioned"


def test_what_it_never_answered_before_is_settled_with_it(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    sandbox.faults("drop-after-commit")
    file = declare("a.yaml", serial_number="AP-1", status="active", location="Hall")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 3
    assert "drop-after-commit" in struck(sandbox)[-1]
    sandbox.faults()
    sandbox.forget_requests()
    file.unlink()
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert ran.code == 0
    assert [request.body for request in sandbox.requests("PUT")] == [{"location": "Hall", "status": "decommissioned"}]
    assert run("plan").stdout.startswith("No changes.")


def test_a_device_that_comes_back_is_refused_until_it_is_allowed(
    declare: Declare, leaver: Path, run: Run, sandbox: Sandbox
) -> None:
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare(leaver.name, serial_number="AP-1", status="active", name="Lobby")
    sandbox.forget_requests()
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert ran.code == 6
    assert "refused by lifecycle: status: AP-1: frozen, being decommissioned" in ran.stderr
    assert sandbox.requests("PUT") == ()
    assert run("apply", "--auto-approve", "--allow", "lifecycle", environ=sandbox.environ).code == 0
    assert sandbox.device("AP-1")["status"] == "active"
    assert '"lifecycle"' in run("audit", "log").stdout
    assert run("plan").stdout.startswith("No changes. All 2 devices are as declared.\n")


def test_it_must_be_a_way_that_the_lifecycle_has(leaver: Path, run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(
        SETTINGS + '[lifecycle.transitions]\nactive = ["maintenance"]\nmaintenance = ["active", "decommissioned"]\n'
    )
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert not leaver.exists()
    assert ran.code == 6
    assert "AP-1 would go from active to decommissioned, which leads only to maintenance" in ran.stderr
    assert sandbox.requests("PUT") == ()


def test_a_secret_in_the_patch_is_sent_and_never_shown(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    schema = packaged_schema("device")
    schema["properties"]["psk"] = {"type": "string", "writeOnly": True}
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text(json.dumps(schema))
    (tmp_path / "reconciler.toml").write_text(SETTINGS + 'patch = {status = "decommissioned", psk = "wiped-0ut"}\n')
    sandbox.seed("AP-1", "AP-2")
    file = declare("a.yaml", serial_number="AP-1", status="active", psk="hunter2")
    declare("b.yaml", serial_number="AP-2", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    file.unlink()
    sandbox.forget_requests()
    plan = run("plan", "--out", "p.json")
    said = plan.stdout + plan.stderr + (tmp_path / "p.json").read_text()
    ran = run("apply", "p.json", environ=sandbox.environ)

    assert ran.code == 0, ran.stderr
    assert [request.body for request in sandbox.requests("PUT")] == [{"status": "decommissioned", "psk": "wiped-0ut"}]
    said += ran.stdout + ran.stderr + run("audit", "log").stdout + run("state", "show", "AP-1").stdout
    assert "(sensitive)" in said
    assert "hunter2" not in said
    assert "wiped-0ut" not in said
    assert run("plan").stdout.startswith("No changes.")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'patch = {status = "decomissioned"}\n',
            "on_removed.patch has 'decomissioned', which the schema does not know",
        ),
        ('[lifecycle]\nfrozen = ["retierd"]\n', "did you mean retired?"),
        (
            'patch = {staus = "decommissioned"}\n',
            "on_removed.patch has 'staus', which the schema does not know; did you",
        ),
        ('[lifecycle]\nfield = "stauts"\n', "lifecycle.field has 'stauts', which the schema does not know; did you"),
        (
            '[guard]\nprotected = ["configuration.x", "staus"]\n',
            "guard.protected has 'staus', which the schema does not",
        ),
        (
            '[api.nested]\ncustom_fields = "merge"\nconfigration = "merge"\n',
            "api.nested has 'configration', which the schema does not know; did you mean configuration?",
        ),
        ('[api.nested]\n"configuration.channel" = "merge"\n', "api.nested has 'configuration.channel', which the"),
    ],
)
def test_settings_and_schema_must_know_the_same_fields_and_stations(
    text: str, says: str, declare: Declare, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text(SETTINGS + text)
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("plan")

    assert ran.code == 1
    assert says in ran.stderr
    assert "reconciler.toml" in ran.stderr


def test_a_schema_that_takes_fields_by_pattern_knows_them(declare: Declare, run: Run, tmp_path: Path) -> None:
    rules = {"properties": {"serial_number": {}}, "patternProperties": {"^x_": {}}, "additionalProperties": False}
    (tmp_path / "own.json").write_text(json.dumps(rules))
    (tmp_path / "reconciler.toml").write_text('schema = "own.json"\n[guard]\nprotected = ["x_site"]\n')
    declare("a.yaml", serial_number="AP-1", x_site="paris")

    assert run("plan").code == 0

"""The real command against the real sandbox over a real socket."""

import json
import os
import signal
import subprocess
from pathlib import Path

import jsonschema_rs
import pytest
from conftest import COMMAND, Declare, Run, clean_environ, wait_for_commit, wait_for_line

from reconciler.inventory.schema import packaged_schema
from reconciler.sandbox.server import Sandbox

QUICK = "[api]\nrate_per_second = 1000\nburst = 100\n"
SLOW = "[api]\nrate_per_second = 2\nburst = 1\n"
"""Of thirty devices most are still to do when a signal comes late, on a machine that has much else to do."""


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(QUICK)


def test_the_law(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    """After a successful apply the server holds what is declared, a second plan is empty, and only changes are sent."""
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", name="Lobby", status="active", configuration={"channel": 6, "dfs": True})
    declare("b.yaml", serial_number="AP-2", name="Hall", status="active")
    first = run("apply", "--auto-approve", environ=sandbox.environ)

    assert (first.code, "Apply: 2 applied" in first.stdout) == (0, True)
    assert sandbox.device("AP-1")["configuration"] == {"channel": 6, "dfs": True}

    declare(
        "a.yaml", serial_number="AP-1", name="Lobby", status="maintenance", configuration={"channel": 6, "dfs": True}
    )
    sandbox.forget_requests()
    second = run("apply", "--auto-approve", environ=sandbox.environ)

    assert second.code == 0
    assert [(request.serial, request.body) for request in sandbox.requests()] == [("AP-1", {"status": "maintenance"})]
    assert sandbox.device("AP-1")["status"] == "maintenance"
    assert run("plan").stdout.startswith("No changes. All 2 devices are as declared.\n")
    sandbox.forget_requests()
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    assert sandbox.requests() == ()


def test_a_rejected_device_is_named_with_its_line_and_the_rest_is_applied(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    ran = run("apply", "--auto-approve", "--report", "r.json", environ=sandbox.environ)

    assert ran.code == 3
    assert "rejected AP-2  inventory/b.yaml:1\n    404 " in ran.stdout
    assert "Apply: 1 applied, 1 rejected" in ran.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    jsonschema_rs.validator_for(packaged_schema("report")).validate(report)
    assert {item["serial"]: item["outcome"] for item in report["outcomes"]} == {"AP-1": "applied", "AP-2": "rejected"}
    assert report["exit_code"] == 3
    assert "Plan: 1 to adopt, 0 to update, 0 to release. 1 unchanged." in run("plan").stdout


def test_a_saved_plan_is_applied_without_asking_and_may_be_applied_again(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    run("plan", "--out", "p.json")

    assert run("apply", "p.json", environ=sandbox.environ).code == 0
    sandbox.forget_requests()
    again = run("apply", "p.json", environ=sandbox.environ)
    assert again.code == 0
    assert "1 already done" in again.stdout
    assert sandbox.requests() == ()


def test_a_stale_plan_sends_nothing_and_names_the_device(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    run("plan", "--out", "p.json")
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    run("apply", "--auto-approve", "--target", "AP-1", environ=sandbox.environ)
    sandbox.forget_requests()
    ran = run("apply", "p.json", environ=sandbox.environ)

    assert ran.code == 5
    assert "AP-1 moved since this plan was made; nothing was sent" in ran.stderr
    assert sandbox.requests() == ()


def test_a_plan_to_replace_a_device_that_moved_since_is_refused(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("OLD", "NEW")
    old = declare("old.yaml", serial_number="OLD", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    old.unlink()
    new = declare("new.yaml", serial_number="NEW", status="active", **{"$replaces": "OLD"})
    assert "1 to replace" in run("plan", "--out", "p.json").stdout
    text = new.read_text()
    new.unlink()
    declare("old.yaml", serial_number="OLD", status="maintenance")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    sandbox.forget_requests()

    ran = run("apply", "p.json", environ=sandbox.environ)

    assert (ran.code, sandbox.requests()) == (5, ())
    assert "NEW moved since this plan was made" in ran.stderr
    assert "OLD" in run("state", "list").stdout

    old.unlink()
    new.write_text(text.replace("OLD", "OTHER"))
    assert run("apply", "--auto-approve", "--target", "NEW", environ=sandbox.environ).code == 0
    assert run("apply", "p.json", environ=sandbox.environ).code == 5, "NEW is as planned, and OLD was not given up"


@pytest.fixture
def _secret_psk(tmp_path: Path) -> None:
    schema = packaged_schema("device")
    schema["properties"]["custom_fields"] = {"properties": {"psk": {"writeOnly": True}}}
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text(json.dumps(schema))


@pytest.mark.usefixtures("_secret_psk")
def test_an_object_that_could_hold_a_secret_and_does_not_is_shown_and_sent_as_planned(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", custom_fields={"lease": 1})
    assert '{"lease": 1}' in run("plan", "--out", "p.json").stdout
    declare("a.yaml", serial_number="AP-1", custom_fields={"lease": 2})

    assert run("apply", "p.json", environ=sandbox.environ).code == 0
    assert sandbox.device("AP-1")["custom_fields"] == {"lease": 1}


@pytest.mark.usefixtures("_secret_psk")
def test_what_a_plan_leaves_out_beside_a_secret_is_sent_as_it_was_planned_or_not_at_all(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    planned = {"lease": 1, "psk": "hunter2"}
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", custom_fields=planned)
    declare("b.yaml", serial_number="AP-2", status="active")
    run("plan", "--out", "p.json")
    declare("a.yaml", serial_number="AP-1", custom_fields=planned | {"lease": 2})
    ran = run("apply", "p.json", environ=sandbox.environ)

    assert ran.code == 5
    assert "AP-1 is declared with other values than when this plan was made; nothing was sent" in ran.stderr
    assert sandbox.requests() == ()

    declare("a.yaml", serial_number="AP-1", custom_fields=planned)
    assert run("apply", "p.json", environ=sandbox.environ).code == 0
    assert sandbox.device("AP-1")["custom_fields"] == planned


@pytest.mark.usefixtures("_secret_psk")
def test_a_plan_of_secrets_takes_them_from_the_inventory(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", custom_fields={"psk": "hunter2"})
    run("plan", "--out", "p.json")
    ran = run("apply", "p.json", environ=sandbox.environ)

    assert ran.code == 0
    assert sandbox.device("AP-1")["custom_fields"] == {"psk": "hunter2"}
    assert "hunter2" not in run("audit", "log").stdout + run("state", "show", "AP-1").stdout


def test_nobody_to_ask_is_a_usage_error(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("apply", environ=sandbox.environ)

    assert ran.code == 64
    assert "--auto-approve" in ran.stderr
    assert sandbox.requests() == ()


def test_a_wrong_token_is_exit_4_and_one_request(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    ran = run("apply", "--auto-approve", environ={**sandbox.environ, "RECONCILER_TOKEN": "wr0ng-t0ken"})

    assert ran.code == 4
    assert "the server refused the token" in ran.stderr
    assert "wr0ng-t0ken" not in ran.stdout + ran.stderr
    assert len(sandbox.requests()) == 1


def test_no_token_is_exit_4_before_anything_happens(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("apply", "--auto-approve", environ={"RECONCILER_BASE_URL": sandbox.base_url})

    assert ran.code == 4
    assert "RECONCILER_TOKEN_FILE" in ran.stderr


def test_no_server_is_exit_1_and_says_where(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run(
        "apply",
        "--auto-approve",
        environ={"RECONCILER_BASE_URL": "http://127.0.0.1:9/api/v1", "RECONCILER_TOKEN": "t"},
    )

    assert ran.code == 1
    assert "cannot connect to 127.0.0.1:9" in ran.stderr
    assert "Plan: 1 to adopt" in run("plan").stdout


def test_a_guard_refuses_with_exit_6_until_it_is_allowed(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    serials = [f"AP-{number:02}" for number in range(12)]
    sandbox.seed(*serials)
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    run("apply", "--auto-approve", environ=sandbox.environ)
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="maintenance")
    sandbox.forget_requests()
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert ran.code == 6
    assert "refused by max_changed_pct: the plan would update 12 of 12 devices" in ran.stderr
    assert sandbox.requests() == ()
    run("plan", "--out", "p.json")
    assert run("apply", "p.json", environ=sandbox.environ).code == 6
    assert run("apply", "p.json", "--allow", "max_changed_pct", environ=sandbox.environ).code == 0
    assert '"max_changed_pct"' in run("audit", "log").stdout


def test_a_device_that_left_the_inventory_is_released_and_keeps_its_values(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1", "AP-2")
    file = declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active", location="Hall")
    run("apply", "--auto-approve", environ=sandbox.environ)
    file.unlink()
    declare("b.yaml", serial_number="AP-2", status="active")
    sandbox.forget_requests()
    plan = run("plan").stdout
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert "- AP-1  no longer in the inventory: forgotten, nothing is sent" in plan
    assert '- location  no longer managed; the device keeps "Hall"' in plan
    assert ran.code == 0
    assert sandbox.requests() == ()
    assert sandbox.device("AP-2")["location"] == "Hall"
    assert run("plan").stdout.startswith("No changes. The one device is as declared.\n")


def test_the_first_interrupt_finishes_what_is_in_flight_and_a_re_run_does_the_rest(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text(SLOW)
    serials = [f"AP-{number:02}" for number in range(30)]
    sandbox.seed(*serials)
    sandbox.faults("latency-after-commit=3s:serial=AP-01")
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    process = subprocess.Popen(
        [COMMAND, "-v", "apply", "--auto-approve"],
        cwd=tmp_path,
        env={**clean_environ(), **sandbox.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    wait_for_line(process, "  200  ")
    wait_for_commit(sandbox, "AP-01")
    process.send_signal(signal.SIGINT)
    answered = {request.serial for request in sandbox.requests()}
    stdout, stderr = process.communicate(timeout=20)

    assert process.returncode == 130, stderr
    done = len(sandbox.requests())
    assert "AP-01" in {request.serial for request in sandbox.requests()} - answered
    assert 2 <= done < 30
    assert f"Apply: {done} applied, {30 - done} not attempted" in stdout
    sandbox.forget_requests()
    (tmp_path / "reconciler.toml").write_text(QUICK)
    rest = run("apply", "--auto-approve", environ=sandbox.environ)
    assert rest.code == 0
    assert len(sandbox.requests()) == 30 - done
    assert run("plan").stdout.startswith("No changes. All 30 devices are as declared.\n")


def test_an_apply_killed_in_flight_is_resent_and_converges(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text(SLOW)
    serials = [f"AP-{number:02}" for number in range(30)]
    sandbox.seed(*serials)
    sandbox.faults("latency-after-commit=60s:serial=AP-01")
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    process = subprocess.Popen(
        [COMMAND, "-v", "apply", "--auto-approve"],
        cwd=tmp_path,
        env={**clean_environ(), **sandbox.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    wait_for_line(process, "  200  ")
    wait_for_commit(sandbox, "AP-01")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    sent = len(sandbox.requests())

    assert 1 <= sent < 30
    assert "AP-01" not in {request.serial for request in sandbox.requests()}
    sandbox.faults()
    (tmp_path / "reconciler.toml").write_text(QUICK)
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    assert "AP-01" in {request.serial for request in sandbox.requests()}
    assert len(sandbox.requests()) <= 31
    assert {sandbox.device(serial)["status"] for serial in serials} == {"active"}
    assert run("plan").stdout.startswith("No changes. All 30 devices are as declared.\n")
    assert run("audit", "verify").code == 0


def test_max_duration_ends_gracefully_and_the_rest_stays_to_do(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text(SLOW)
    for number in range(20):
        sandbox.seed(f"AP-{number:02}")
        declare(f"{number}.yaml", serial_number=f"AP-{number:02}", status="active")
    ran = run("apply", "--auto-approve", "--max-duration", "0.8s", environ=sandbox.environ)

    assert ran.code == 3
    assert "--max-duration is over" in ran.stdout
    assert len(sandbox.requests()) == 2


def test_the_token_is_nowhere(declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("-v", "apply", "--auto-approve", "--report", "r.json", environ=sandbox.environ)

    assert ran.code == 0
    assert sandbox.token not in ran.stdout + ran.stderr
    for file in (tmp_path / "r.json", *(tmp_path / ".reconciler").iterdir()):
        assert sandbox.token.encode() not in file.read_bytes()


def test_a_recovery_file_that_is_none_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")

    for file in ("r.json", "missing.json", "."):
        ran = run("state", "recover", file)
        assert (ran.code, ran.stderr.startswith(f"error: {file}: ")) == (1, True)


@pytest.mark.parametrize("trouble", ["token", "guard", "nobody to ask"])
def test_a_report_that_is_there_before_is_not_replaced_by_one_of_a_run_that_never_was(
    trouble: str, declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text("before")
    declare("a.yaml", serial_number="AP-1", status="active")
    environ = {"RECONCILER_BASE_URL": sandbox.base_url} if trouble == "token" else sandbox.environ
    if trouble == "guard":
        (tmp_path / "reconciler.toml").write_text('[guard]\nprotected = ["status"]\n[api]\nrate_per_second = 1000\n')
        sandbox.seed("AP-1")
        assert run("apply", "--auto-approve", environ=environ).code == 0
        declare("a.yaml", serial_number="AP-1", status="inactive")
    approve = [] if trouble == "nobody to ask" else ["--auto-approve"]

    assert run("apply", *approve, "--report", "r.json", environ=environ).code in {4, 6, 64}
    assert (tmp_path / "r.json").read_text() == "before"


def test_a_report_that_could_not_be_written_stops_before_anything_is_sent(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("apply", "--auto-approve", "--report", "missing/r.json", environ=sandbox.environ)

    assert (ran.code, sandbox.requests()) == (1, ())


def test_a_plan_that_was_made_for_another_way_of_sending_is_stale(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", configuration={"a": 1, "b": 2})
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("a.yaml", serial_number="AP-1", configuration={"a": 1})
    assert "2 → removed" in run("plan", "--out", "p.json").stdout
    (tmp_path / "reconciler.toml").write_text('[api]\nnested = "merge"\n')
    sandbox.forget_requests()
    ran = run("apply", "p.json", environ=sandbox.environ)

    assert (ran.code, sandbox.requests()) == (5, ())
    assert "2 → removed" in run("show", "p.json").stdout
    assert "Plan: 0 to adopt, 1 to update" in run("plan").stdout

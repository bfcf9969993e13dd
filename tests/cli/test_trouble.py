"""What stops a run or bends it, told end to end: lost answers, wrong addresses, and the record of it all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Declare, Run

from reconciler.sandbox.server import Sandbox

CI = {
    "GITHUB_RUN_ID": "42",
    "GITHUB_REPOSITORY": "acme/fleet",
    "GITHUB_ACTOR": "octocat",
    "GITHUB_SERVER_URL": "https://github.example.com",
    "GITHUB_SHA": "c0ffee",
}


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(
        "[api]\nrate_per_second = 1000\nburst = 100\nbackoff_base = 0\ntimeout = 0.2\nlinger = 0\n"
    )


def test_every_entry_says_who_when_commit_run_before_after_status_and_attempts(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    assert run("apply", "--auto-approve", environ={**sandbox.environ, **CI}).code == 0
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    sandbox.faults("error-before-commit=503:x2")
    assert run("apply", "--auto-approve", environ={**sandbox.environ, **CI}).code == 0

    entries = [json.loads(line) for line in run("audit", "log", "--format", "json").stdout.splitlines()]
    assert [entry["kind"] for entry in entries] == ["run", "intent", "applied", "ended"] * 2
    for entry in entries:
        assert entry["at"].startswith("20")
        assert entry["by"] == "octocat in acme/fleet/run-42"
        assert entry["commit"] == "c0ffee"
        assert entry["url"] == "https://github.example.com/acme/fleet/actions/runs/42"
    intent, applied = entries[5:7]
    [field] = intent["data"]["fields"]
    assert (field["path"], field["before"], field["after"]) == ("/status", "active", "maintenance")
    assert (applied["data"]["status"], applied["data"]["attempts"]) == (200, 3)
    lines = run("audit", "log", "--serial", "AP-1").stdout.splitlines()
    assert 'octocat in acme/fleet/run-42  AP-1  intent  update: status: "active" → "maintenance"' in lines[2]
    assert lines[3].endswith("AP-1  applied  status 200; attempts 3; an earlier request may still arrive")


@pytest.mark.parametrize(("status", "code", "most"), [(404, 3, 10), (403, 4, 1), (401, 4, 1)])
def test_a_wrong_address_or_token_costs_a_few_requests_and_the_hint_says_what_to_check(  # noqa: PLR0917 - passed by name
    status: int, code: int, most: int, declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    serials = [f"AP-{number:02}" for number in range(40)]
    sandbox.seed(*serials)
    sandbox.faults(f"error-before-commit={status}")
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert ran.code == code
    assert min(5, most) <= len(sandbox.requests()) <= most
    hint = "check api.base_url and the serial numbers" if status == 404 else "the server refused the token: "
    assert hint in ran.stdout + ran.stderr


def test_what_left_the_inventory_while_its_answer_is_unknown_stops_the_run_until_somebody_decides(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", status="active", location="Hall")
    declare("b.yaml", serial_number="AP-2", status="active")
    sandbox.faults("drop-after-commit:serial=AP-1")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 3
    sandbox.faults()
    sandbox.forget_requests()
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert (ran.code, sandbox.requests()) == (6, ())
    assert "refused by unknown: the last PUT to AP-1 has no answer yet" in ran.stderr
    assert "restore it for one more apply, or give up knowing with: --allow unknown" in ran.stderr
    assert run("apply", "--auto-approve", "--allow", "unknown", environ=sandbox.environ).code == 0
    assert [request.body for request in sandbox.requests()] == [{"status": "active"}]
    assert run("plan").stdout.startswith("No changes.")


def test_a_lost_answer_is_sent_again_as_it_was_and_with_what_changed_since(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active", name="Lobby")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("a.yaml", serial_number="AP-1", status="inactive", name="Lobby")
    sandbox.faults("drop-after-commit")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 3
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 3
    sandbox.faults()
    declare("a.yaml", serial_number="AP-1", status="inactive", name="Hall")
    sent = [request.body for request in sandbox.requests("PUT")][1:]
    sandbox.forget_requests()
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0

    assert sent == [{"status": "inactive"}] * 8
    assert [request.body for request in sandbox.requests()] == [{"status": "inactive", "name": "Hall"}]
    assert run("plan").stdout.startswith("No changes.")


def test_want_of_memory_is_no_defect_and_has_a_way_out() -> None:
    code = (
        "import sys\nfrom reconciler import cli\n"
        "def plan(**_): raise MemoryError\n"
        "cli.cli.main = plan\nsys.exit(cli.run())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("error: there is not enough memory; ")
    assert "fewer processes" in done.stderr


def test_an_option_of_all_commands_behind_one_of_them_is_told_where_it_belongs(run: Run) -> None:
    ran = run("plan", "--profile", "trace.json")

    assert ran.code == 64
    assert "Write it before the command: reconciler --profile …" in ran.stderr
    assert "before the command" not in run("plan", "--nothing").stderr

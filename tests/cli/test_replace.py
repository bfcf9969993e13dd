"""A device is swapped for another: from its file over the plan to the journal."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import COMMAND, Declare, Run

from reconciler.sandbox.server import Sandbox

FILE = "# the lobby\nserial_number: OLD-1 # from the box\nname: lobby\nconfiguration: {channel: 6}\n"


@pytest.fixture
def swapped(declare: Declare, run: Run, sandbox: Sandbox) -> Path:
    """OLD-1 is applied; then NEW-1 is declared in its place. B-1 stands beside them, applied and unchanged."""
    sandbox.seed("OLD-1", "NEW-1", "B-1")
    file = declare("lobby.yaml", FILE)
    declare("b.yaml", serial_number="B-1", name="b")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    ran = run("replace", "OLD-1", "NEW-1")
    assert (ran.code, ran.stdout) == (0, "inventory/lobby.yaml:2: NEW-1 replaces OLD-1.\n")
    sandbox.forget_requests()
    return file


def test_the_file_says_who_replaces_whom_and_keeps_the_rest(swapped: Path) -> None:
    text = (
        "# the lobby\nserial_number: NEW-1 # from the box\n$replaces: OLD-1\nname: lobby\nconfiguration: {channel: 6}\n"
    )

    assert swapped.read_text() == text


@pytest.mark.usefixtures("swapped")
def test_the_plan_shows_one_replacement_and_the_apply_carries_it_out(run: Run, sandbox: Sandbox) -> None:
    plan = run("plan")
    document = json.loads(run("plan", "--format", "json").stdout)

    assert "NEW-1  inventory/lobby.yaml:2  in the place of OLD-1, which is forgotten" in plan.stdout
    assert "1 to replace" in plan.stdout
    assert [(c["action"], c["serial"], c.get("replaces")) for c in document["changes"]] == [
        ("replace", "NEW-1", "OLD-1")
    ]
    assert document["summary"]["release"] == 0

    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0

    assert [(put.serial, put.body) for put in sandbox.requests("PUT")] == [
        ("NEW-1", {"name": "lobby", "configuration": {"channel": 6}})
    ]
    assert "No changes." in run("plan").stdout
    assert "OLD-1" not in run("state", "list").stdout
    log = run("audit", "log", "--serial", "NEW-1").stdout.splitlines()
    assert ["OLD-1" in line.split("  ")[2] for line in log] == [True, True, False, False, True]
    assert "replaced  by NEW-1" in log[-1]
    assert "NEW-1" not in "".join(run("audit", "log", "--serial", "OLD-1").stdout.splitlines()[:-1])
    assert run("audit", "verify").code == 0


@pytest.mark.usefixtures("swapped")
def test_a_saved_plan_of_a_replacement_may_be_applied_twice(run: Run, sandbox: Sandbox) -> None:
    run("plan", "--out", "p.json")

    first, second = (run("apply", "p.json", environ=sandbox.environ) for _ in range(2))

    assert (first.code, second.code) == (0, 0)
    assert len(sandbox.requests("PUT")) == 1
    assert "1 already done" in second.stdout


@pytest.mark.usefixtures("swapped")
def test_the_old_device_stays_known_until_the_new_one_has_what_it_should(run: Run, sandbox: Sandbox) -> None:
    sandbox.faults("error-before-commit=422")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 3
    assert sandbox.requests("PUT")[-1].status == 422
    assert "OLD-1" in run("state", "list").stdout
    sandbox.faults()

    assert "1 to replace" in run("plan").stdout
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    assert "OLD-1" not in run("state", "list").stdout


@pytest.mark.usefixtures("swapped")
def test_a_lost_answer_to_a_replacement_is_sent_again_and_still_replaces(run: Run, sandbox: Sandbox) -> None:
    sandbox.faults("drop-after-commit")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 3
    assert any(put.committed and put.status is None for put in sandbox.requests("PUT"))
    sandbox.faults()

    plan = run("plan").stdout
    assert "in the place of OLD-1" in plan
    assert "0 to release" in plan
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    assert "No changes." in run("plan").stdout
    assert "OLD-1" not in run("state", "list").stdout


@pytest.mark.usefixtures("swapped")
def test_a_target_takes_the_replaced_device_along(run: Run) -> None:
    assert "1 to replace" in run("plan", "--target", "NEW-1").stdout


@pytest.mark.parametrize(
    "texts",
    [
        ("serial_number: OLD-1", "serial_number: NEW-1\n$replaces: OLD-1"),
        (
            "devices: [{serial_number: OLD-1}, {serial_number: NEW-1, name: x, location: y}]",
            "serial_number: NEW-1\n$replaces: OLD-1\nname: x",
        ),
    ],
)
def test_a_replacement_that_sends_nothing_forgets_the_old_device_all_the_same(
    declare: Declare, run: Run, sandbox: Sandbox, texts: tuple[str, str]
) -> None:
    sandbox.seed("OLD-1", "NEW-1")
    for text in texts:
        declare("a.yaml", text)
        assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    sandbox.forget_requests()

    assert "No changes." in run("plan").stdout
    assert "OLD-1" not in run("state", "list").stdout
    assert "replaced  by NEW-1" in run("audit", "log", "--serial", "NEW-1").stdout


@pytest.mark.usefixtures("swapped")
def test_a_second_swap_before_the_first_was_applied_replaces_what_was_applied(run: Run, swapped: Path) -> None:
    assert run("replace", "NEW-1", "NEW-2").code == 0

    assert "serial_number: NEW-2 # from the box\n$replaces: OLD-1\n" in swapped.read_text()
    assert "1 to replace" in run("plan").stdout


def test_a_device_that_replaces_one_which_was_never_applied_is_adopted(declare: Declare, run: Run) -> None:
    declare("a.yaml", "serial_number: NEW-1\n$replaces: OLD-1\nname: x")

    assert "1 to adopt" in run("plan").stdout


@pytest.mark.usefixtures("swapped")
def test_where_devices_are_decommissioned_the_old_one_is_once_the_new_one_is_there(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text('[on_removed]\ndevice = "decommission"\n')
    plan = run("plan", "--out", "p.json").stdout
    assert "NEW-1  inventory/lobby.yaml:2  in the place of OLD-1, which is decommissioned" in plan
    assert "one last PUT once NEW-1 has what it should, then kept" in plan

    sandbox.faults("error-before-commit=422")
    failed = run("apply", "p.json", environ=sandbox.environ)
    assert (failed.code, [put.serial for put in sandbox.requests("PUT")]) == (3, ["NEW-1"])
    assert "NEW-1, which replaces it, does not have what it should yet" in failed.stdout
    sandbox.faults()

    assert run("apply", "p.json", environ=sandbox.environ).code == 0
    assert [(put.serial, put.body) for put in sandbox.requests("PUT")[1:]] == [
        ("NEW-1", {"name": "lobby", "configuration": {"channel": 6}}),
        ("OLD-1", {"status": "decommissioned"}),
    ]
    assert "No changes." in run("plan").stdout
    assert "OLD-1" in run("audit", "log", "--serial", "NEW-1").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("OLD-2", "NEW-1"), 64, "the inventory declares no device OLD-2; did you mean OLD-1?"),
        (("OLD-1", "not a serial"), 64, "'not a serial' is no serial number"),
        (("OLD-1", "b-1"), 64, "b-1 is declared already, at inventory/b.yaml:1:1"),
    ],
)
def test_what_cannot_be_replaced_is_told_and_nothing_is_written(
    declare: Declare, run: Run, arguments: tuple[str, str], code: int, complaint: str
) -> None:
    file = declare("lobby.yaml", FILE)
    declare("b.yaml", serial_number="B-1", name="b")

    ran = run("replace", *arguments)

    assert ran.code == code
    assert complaint in ran.stderr
    assert file.read_text() == FILE


def test_whoever_still_refers_to_the_old_device_is_told(declare: Declare, run: Run) -> None:
    declare("a.yaml", 'serial_number: A\nconfiguration: {mesh_parent: "B"}')
    declare("b.yaml", serial_number="B")

    ran = run("replace", "B", "C")

    assert ran.code == 1
    assert "A.configuration.mesh_parent refers to" in ran.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "devices: [{serial_number: A}, {serial_number: B, $replaces: A}]",
            "B replaces A, which is still declared, at",
        ),
        ("devices: [{serial_number: A, $replaces: X}, {serial_number: B, $replaces: X}]", "and so does another, at"),
    ],
)
def test_a_device_can_be_replaced_by_one_other_and_then_is_gone(
    declare: Declare, run: Run, text: str, complaint: str
) -> None:
    declare("a.yaml", text)

    ran = run("validate")

    assert ran.code == 1
    assert complaint in ran.stdout


def test_the_mode_of_the_file_stays(declare: Declare, run: Run) -> None:
    file = declare("a.yaml", "serial_number: A\n")
    file.chmod(0o640)

    run("replace", "A", "B")

    assert file.stat().st_mode & 0o777 == 0o640


def test_help_explains_it() -> None:
    shown = subprocess.run([COMMAND, "replace", "--help"], capture_output=True, encoding="utf-8", check=True).stdout

    assert "$replaces: OLD" in shown

"""`reconciler demo` shows the main job, and fails when the main job does."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMAND, Run, clean_environ

from reconciler.errors import ReconcilerError
from reconciler.sandbox.demo import demonstrate


def test_the_demo_runs_the_whole_cycle_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    scratch, elsewhere = tmp_path / "scratch", tmp_path / "elsewhere"
    scratch.mkdir()
    elsewhere.mkdir()

    ran = run("demo", cwd=elsewhere, environ={"TMPDIR": str(scratch), "RECONCILER_STATE": "sqlite:never-used.db"})

    assert (ran.code, ran.stderr) == (0, "")
    commands = [line for line in ran.stdout.splitlines() if line.startswith("$ ") and "export" not in line]
    assert commands == [
        "$ reconciler validate",
        "$ reconciler plan",
        "$ reconciler apply --auto-approve",
        "$ reconciler plan",
        "$ $EDITOR inventory/laptops/conference-room.yaml",
        "$ reconciler plan",
        "$ reconciler apply --auto-approve",
        "$ reconciler plan",
        "$ $EDITOR inventory/kiosks/_defaults.yaml",
        "$ reconciler plan",
        "$ reconciler apply --auto-approve",
        "$ reconciler explain E21C004502 configuration.screen_on",
        "$ $EDITOR schemas/device.schema.json",
        "$ $EDITOR inventory/laptops/conference-room.yaml",
        "$ reconciler apply --auto-approve",
        "$ echo $?",
        "$ reconciler plan",
    ]
    assert '\n  PUT ABC123456789 200 {"location": "Building B - Room 204"}\n' in ran.stdout
    assert '\n  PUT ABC123456789 422 {"status": "quarantined"}\n' in ran.stdout
    assert "\x1b" not in ran.stdout
    assert str(tmp_path) not in ran.stdout
    assert [*scratch.iterdir(), *elsewhere.iterdir()] == []


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("raise SystemExit(1)", "expected exit code 0 of `reconciler validate`; it was 1"),
        ("print('fine')", 'expected `reconciler plan` to say "29 to adopt"'),
        ("print('29 to adopt')", "expected 29 PUTs, one for each device, all answered 200; the server saw 0"),
    ],
)
def test_a_step_that_does_not_do_what_it_should_fails_the_demo(program: str, complaint: str) -> None:
    with pytest.raises(ReconcilerError, match="the demo went wrong") as raised:
        demonstrate([sys.executable, "-c", program], clean_environ(), color=False)

    assert str(raised.value).endswith(complaint)


def test_a_reader_in_a_hurry_can_stop_the_demo(tmp_path: Path) -> None:
    # An interrupt may strike where Python has just opened a file: it warns of that, if it is told to.
    quiet = {"TMPDIR": str(tmp_path), "PYTHONWARNINGS": "error,ignore::ResourceWarning"}
    with subprocess.Popen(
        [COMMAND, "demo"],
        cwd=tmp_path,
        env=clean_environ() | quiet,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        encoding="utf-8",
    ) as demo:
        assert demo.stdout
        assert any("$ reconciler validate" in line for line in demo.stdout)
        demo.send_signal(signal.SIGINT)
        _, stderr = demo.communicate(timeout=10)

    assert (demo.returncode, stderr.strip()) == (130, "interrupted")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_finds_its_own_command_when_that_was_started_by_a_relative_path(tmp_path: Path) -> None:
    with subprocess.Popen(
        [Path(COMMAND.parent.name, COMMAND.name), "demo"],
        cwd=COMMAND.parent.parent,
        env=clean_environ() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as demo:
        assert demo.stdout
        assert any("30 devices" in line for line in demo.stdout if not line.startswith("#"))
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=10)

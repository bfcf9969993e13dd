"""The state in other hands: a lease that somebody holds, a file that another program locks."""

import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from conftest import COMMAND, Declare, Run, clean_environ

from reconciler.model import Holder
from reconciler.sandbox.server import Sandbox
from reconciler.state.sqlite import SqliteBackend


def started(folder: Path, environ: Mapping[str, str], *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder,
        env={**clean_environ(), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@pytest.fixture
def state(declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path) -> Path:
    """The file of a state that holds AP-1 as active, while the inventory wants it in maintenance."""
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    sandbox.forget_requests()
    return tmp_path / ".reconciler" / "state.db"


def test_a_file_that_another_program_locks_is_exit_5_and_nothing_is_sent(
    state: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(state)) as other:
        other.execute("BEGIN EXCLUSIVE")
        commands = (["plan"], ["apply", "--auto-approve"], ["state", "list"], ["audit", "verify"])
        waiting = [started(tmp_path, sandbox.environ, *command) for command in commands]
        for process in waiting:
            stdout, stderr = process.communicate(timeout=60)
            assert (process.returncode, stdout) == (5, "")
            assert f"error: {state} was locked by another program for more than 10 s; nothing was written" in stderr
    assert sandbox.requests() == ()


@pytest.mark.parametrize(
    ("environ", "told"), [({"CI": "true"}, "waiting up to 120 s: "), ({"CI": "", "x": "y"}, "waiting up to 10 s: ")]
)
@pytest.mark.parametrize("command", [["apply", "--auto-approve"], ["state", "forget", "AP-1", "--auto-approve"]])
def test_a_lease_in_other_hands_is_waited_for_and_the_wait_is_told(  # noqa: PLR0917 - pytest passes them all by name
    command: list[str], environ: dict[str, str], told: str, state: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    backend = SqliteBackend(state)
    lease = backend.acquire(Holder("ci/run-42", "elsewhere", "", 7, ""), ttl=900)
    process = started(tmp_path, {**sandbox.environ, **environ}, *command)
    assert process.stderr
    assert process.stderr.readline().startswith(f"{told}state is locked by ci/run-42 (host elsewhere, pid 7) since")
    backend.release(lease)
    process.communicate(timeout=20)

    assert process.returncode == 0
    assert len(sandbox.requests()) == (command[0] == "apply")


def test_a_lock_timeout_that_is_given_counts_even_in_ci(state: Path, run: Run, sandbox: Sandbox) -> None:
    SqliteBackend(state).acquire(Holder("ci/run-42", "elsewhere", "", 7, ""), ttl=900)
    ran = run("apply", "--auto-approve", "--lock-timeout", "0", environ={**sandbox.environ, "CI": "true"})

    assert (ran.code, sandbox.requests()) == (5, ())
    assert "waiting" not in ran.stderr


@pytest.mark.parametrize("options", [[], ["--no-cache"], ["--target", "AP-1"]])
def test_a_plan_says_that_somebody_writes_to_the_state_meanwhile(options: list[str], state: Path, run: Run) -> None:
    backend = SqliteBackend(state)
    lease = backend.acquire(Holder("alice", "elsewhere", "boot", 7, ""), ttl=60)

    during = run("plan", *options)
    backend.release(lease)
    after = run("plan", *options)

    assert "The state is written to by alice (host elsewhere, pid 7) since " in during.stderr
    assert "UTC; what is under way there is shown as to be sent again" in during.stderr
    assert (after.code, "written to" in after.stderr, after.stdout) == (0, False, during.stdout)

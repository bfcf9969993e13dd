"""The commands over a state in git, from clones of one remote."""

import os
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import COMMAND, Declare, Run, clean_environ
from git_places import bare, cloned, commits, git, hook

from reconciler.model import EntryKind
from reconciler.sandbox.server import Sandbox
from reconciler.state.open import open_state

URL = "git:reconciler-state"


@pytest.fixture
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare(tmp_path_factory.mktemp("forge") / "remote.git")


@pytest.fixture
def fleet(declare: Declare, sandbox: Sandbox, remote: Path, tmp_path: Path) -> Path:
    """A clone with forty devices, its settings naming a state in git."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", str(remote))
    (tmp_path / "reconciler.toml").write_text(f'state = "{URL}"\n[api]\nrate_per_second = 50\nburst = 5\n')
    serials = [f"AP-{number:02}" for number in range(40)]
    sandbox.seed(*serials)
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    return tmp_path


def test_what_one_clone_applied_another_plans_against(fleet: Path, remote: Path, run: Run, sandbox: Sandbox) -> None:
    hook(remote, "post-receive", 'env > "$GIT_DIR/environment"')
    done = run("apply", "--auto-approve", environ=sandbox.environ)
    assert done.code == 0, done.stderr
    other = cloned(remote.with_name("other"), remote)
    for name in ("inventory", "reconciler.toml"):
        (fleet / name).rename(other / name)

    assert run("plan", cwd=other).stdout.startswith("No changes. All 40 devices are as declared.\n")
    assert run("audit", "verify", cwd=other).code == 0
    assert git(other, "status", "--porcelain").splitlines() == ["?? inventory/", "?? reconciler.toml"]
    assert len(commits(remote)) < 40, "outcomes and intents travel together"
    assert "GIT_DIR=" in (remote / "environment").read_text()
    assert sandbox.token not in (remote / "environment").read_text()


@pytest.mark.usefixtures("fleet")
def test_a_snapshot_that_somebody_edited_is_damage_though_nothing_moved(
    remote: Path, run: Run, sandbox: Sandbox
) -> None:
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    assert "No changes" in run("plan").stdout
    other = cloned(remote.with_name("other"), remote)
    git(other, "checkout", "--quiet", "reconciler-state")
    edited = next(file for file in other.glob("snapshot/**/*") if file.is_file() and '"active"' in file.read_text())
    edited.write_text(edited.read_text().replace('"active"', '"retired"'))
    git(other, "config", "user.name", "bob")
    git(other, "config", "user.email", "bob@example.com")
    git(other, "commit", "--quiet", "--all", "--message", "Know better")
    git(other, "push", "--quiet", "origin", "reconciler-state")

    ran = run("plan")

    assert (ran.code, "was added, altered or removed" in ran.stderr) == (1, True)
    assert ran == run("plan", "--no-cache")


@pytest.mark.usefixtures("fleet")
def test_without_the_network_a_plan_is_made_from_what_was_last_fetched_and_says_so(
    remote: Path, run: Run, sandbox: Sandbox
) -> None:
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    remote.rename(remote.with_name("away.git"))
    ran = run("--quiet", "plan")

    assert (ran.code, ran.stdout.splitlines()[0]) == (0, "No changes. All 40 devices are as declared.")
    assert ran.stderr.startswith("warning: branch reconciler-state of origin cannot be reached: ")
    assert ran.stderr.count("read as last fetched: revision ") == 1
    assert run("state", "list").stdout.count("applied") == 40
    assert run("state", "forget", "AP-01", "--auto-approve").code == 1


def test_an_interrupt_from_the_terminal_reaches_git_not_and_loses_no_outcome(
    fleet: Path, remote: Path, sandbox: Sandbox
) -> None:
    (fleet / "reconciler.toml").write_text(f'state = "{URL}"\n[api]\nrate_per_second = 5\nburst = 5\n')
    hook(remote, "pre-receive", "sleep 0.3")
    with subprocess.Popen(
        [COMMAND, "-v", "apply", "--auto-approve"],
        cwd=fleet,
        env={**clean_environ(), **sandbox.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as job:
        assert job.stderr
        sent = 0
        while sent < 7:
            sent += "  200  " in job.stderr.readline()
        began = time.monotonic()
        os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to all who share it
        job.stderr.read()

    assert job.returncode == 130
    assert time.monotonic() - began < 30
    committed = {str(request.serial) for request in sandbox.requests("PUT") if request.committed}
    assert 0 < len(committed) < 40
    with closing(open_state(URL, fleet)) as state:
        devices = state.read().devices
        assert {str(serial) for serial, held in devices.items() if held.fields} == committed
        assert not any(held.unknown for held in devices.values())
        assert list(state.entries())[-1].kind is EntryKind.ENDED
        assert state.lease() is None

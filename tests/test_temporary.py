"""What a run puts where everybody puts things, and what of it outlives the run."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Declare, Run, clean_environ

from reconciler import temporary
from reconciler.sandbox.server import Sandbox

HOLDER = """
import sys, time
from pathlib import Path
from reconciler import temporary
with temporary.folder(Path(sys.argv[1])) as room:
    (room / "held.db").touch()
    print(room, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds a folder, whose name it printed."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def named(holder: "subprocess.Popen[str]") -> Path:
    assert holder.stdout
    room = Path(holder.stdout.readline().strip())
    assert (room / "held.db").exists()
    return room


def test_a_folder_is_for_us_alone_and_goes_with_its_block(tmp_path: Path) -> None:
    with temporary.folder(tmp_path) as room:
        (room / "held.db").touch()
        assert stat.S_IMODE(room.stat().st_mode) == 0o700
        assert room.parent == tmp_path

    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("step", ["mkdir", "unlink", "rmdir"])
def test_a_folder_goes_though_its_beginning_or_its_end_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real: Callable[..., None] = getattr(os, step)

    def struck(*given: Any, **named: Any) -> None:  # noqa: ANN401 - as it is
        real(*given, **named)
        monkeypatch.setattr(os, step, real)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, step, struck)
    with pytest.raises(KeyboardInterrupt), temporary.folder(tmp_path) as room:
        (room / "held.db").touch()

    assert getattr(os, step) is real
    assert not [*tmp_path.iterdir()]


def test_the_folder_of_a_run_that_was_killed_goes_with_the_next(
    holder: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    left = named(holder)
    holder.kill()
    holder.wait()
    assert left.exists()

    with temporary.folder(tmp_path):
        assert not left.exists()


def test_the_folder_of_a_run_that_lives_stays(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    theirs = named(holder)
    holder.send_signal(signal.SIGSTOP)

    with temporary.folder(tmp_path):
        pass

    assert (theirs / "held.db").exists()


def mine(room: Path) -> None:
    """The folder of a killed run."""
    room.mkdir(mode=0o700)
    (room / "lock").touch()
    (room / "held.db").touch()


def with_work(room: Path) -> None:
    mine(room)
    (room / "work").touch()


def readable(room: Path) -> None:
    mine(room)
    room.chmod(0o755)


def linked(room: Path) -> None:
    mine(room.with_name("elsewhere"))
    room.symlink_to(room.with_name("elsewhere"))


def locked_by_a_link(room: Path) -> None:
    mine(room)
    (room / "lock").rename(room.with_name("elsewhere"))
    (room / "lock").symlink_to(room.with_name("elsewhere"))


def locked_by_a_pipe(room: Path) -> None:
    mine(room)
    (room / "lock").unlink()
    os.mkfifo(room / "lock")


def without_a_lock(room: Path) -> None:
    mine(room)
    (room / "lock").unlink()


@pytest.mark.parametrize(
    "make", [with_work, readable, linked, locked_by_a_link, locked_by_a_pipe, without_a_lock, Path.touch]
)
def test_what_is_not_known_to_be_ours_stays(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "reconciler-abcd_123")
    mine(tmp_path / "reconciler-project")
    before = {*tmp_path.rglob("*")}
    mine(tmp_path / "reconciler-efgh_456")

    with temporary.folder(tmp_path):
        pass

    assert {*tmp_path.rglob("*")} == before


KILLED = """
import os, signal, sys
from reconciler.__main__ import main
from reconciler.index import file
file._put = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[1:] = ["plan"]
main()
"""
"""A plan that is killed when its index is written and lies where only this run looks."""


def test_a_plan_that_is_killed_leaves_nothing_for_longer_than_to_the_next(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-0")
    declare("0.yaml", serial_number="AP-0", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    for number in range(1, 300):
        declare(f"{number}.yaml", serial_number=f"AP-{number}", status="active")
    rooms, cache = Path(f"{tmp_path}.rooms"), Path(f"{tmp_path}.second")
    rooms.mkdir()
    environ = clean_environ() | {"TMPDIR": str(rooms), "RECONCILER_CACHE": str(cache)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    left = [*rooms.rglob("held.db"), *cache.rglob("index.db")]
    assert len(left) == 2

    assert "299 to adopt" in run("plan", environ=environ).stdout

    assert not [*rooms.iterdir()]
    [index] = cache.iterdir()
    assert stat.S_IMODE(index.stat().st_mode) == 0o600

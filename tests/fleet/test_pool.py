"""Much to read is read by several processes: with the same result, and none of them stays behind."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import COMMAND, FIRST, clean_environ

from reconciler import reconcile
from reconciler.config import Settings, load
from reconciler.errors import InventoryError, ReconcilerError
from reconciler.fleet.survey import Survey
from reconciler.fleet.tally import Tally
from reconciler.model import Source
from reconciler.plan.plan_file import digest, to_json

DEVICES = 4500
"""More than FEW, and more than one process reads ALONE."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("fleet")
    for number in range(DEVICES):
        file = root / "inventory" / f"{number // 1000}" / f"{number:05}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        device = {"serial_number": f"D-{number:05}", "name": f"Device {number}", "custom_fields": {"note": "x" * 300}}
        file.write_text(json.dumps(device))
    (root / "inventory" / "_defaults.yaml").write_text("status: active\n")
    return load(root, {})


@contextmanager
def edited(fleet: Settings, number: int, text: str) -> Iterator[None]:
    file = fleet.inventory / f"{number // 1000}" / f"{number:05}.yaml"
    before = file.read_text()
    file.write_text(text)
    try:
        yield
    finally:
        file.write_text(before)


def workers(process: subprocess.Popen[bytes], number: int = 2) -> list[int]:
    """The processes that it started to read, once there are so many."""
    while process.poll() is None:
        with suppress(OSError):  # one of them was gone again
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            reading = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            if len(reading) >= number:
                return reading
        time.sleep(0.001)
    raise AssertionError("it ended without any")


def said(stderr: str) -> str:
    """It without the lines of progress, of which there is one every ten seconds."""
    return re.sub(r"(?m)^(?!error|warning)[a-z]+: \d.*\n", "", stderr)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_several_processes_plan_what_one_does(fleet: Settings) -> None:
    alone, together = (reconcile.plan(replace(fleet, processes=number)) for number in (1, 3))

    assert len(together.changes) == DEVICES
    assert to_json(together) == to_json(alone)
    assert digest(together.changes) == together.digest
    assert together.changes[-1].serial == "D-04499"
    assert [change.serial for change in together.changes[1:3]] == ["D-00001", "D-00002"]
    places = {field.path: field.source for field in together.changes[5].fields}
    assert places["/status"] == Source("inventory/_defaults.yaml", 1, 9)


def test_what_does_not_go_together_is_found_however_far_apart_it_was_read(fleet: Settings) -> None:
    with (
        edited(fleet, 7, '{"serial_number": "d-04400"}'),
        edited(fleet, 4000, '{"serial_number": "D-04000", "name": 1}'),
    ):
        found = []
        for number in (1, 3):
            with pytest.raises(InventoryError) as caught:
                reconcile.plan(replace(fleet, processes=number))
            found.append(caught.value.problems)

        assert found[0] == found[1] == reconcile.validate(fleet).problems
        assert [problem.code for problem in found[0]] == ["RC405", "RC308"]


@pytest.fixture
def planning(fleet: Settings, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [COMMAND, "plan"],
        cwd=fleet.root,
        env=clean_environ() | {"XDG_CACHE_HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    yield process
    process.kill()
    process.communicate()


def test_no_process_outlives_one_that_is_killed(planning: subprocess.Popen[bytes]) -> None:
    reading = workers(planning)

    planning.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 20
    while not all(map(gone, reading)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(map(gone, reading))


@pytest.mark.parametrize("number", [1, 2])
def test_an_interrupt_ends_all_of_them_without_a_traceback(planning: subprocess.Popen[bytes], number: int) -> None:
    reading = workers(planning, number)

    for pid in (planning.pid, *reading):  # as a terminal does
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    _, stderr = planning.communicate(timeout=20)

    assert (planning.returncode, stderr.strip()) == (130, b"interrupted")


def test_neither_a_closed_terminal_nor_a_stopped_process_leaves_anything_behind(
    fleet: Settings, tmp_path: Path
) -> None:
    temporary, cache = tmp_path / "temporary", tmp_path / "cache"
    temporary.mkdir()
    for number in (signal.SIGHUP, signal.SIGINT):
        process = subprocess.Popen(
            [COMMAND, "plan"],
            cwd=fleet.root,
            env=clean_environ() | {"XDG_CACHE_HOME": str(cache), "TMPDIR": str(temporary)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        reading = workers(process)
        os.kill(reading[0], signal.SIGSTOP)

        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)

        assert (process.returncode, stderr.strip()) == (130, b"interrupted")
        assert all(map(gone, reading))
        assert [*temporary.iterdir(), *(cache / "reconciler").iterdir()] == []


def test_a_process_that_is_killed_is_told_of_with_a_way_out(planning: subprocess.Popen[bytes]) -> None:
    os.kill(workers(planning)[0], signal.SIGKILL)

    _, stderr = planning.communicate(timeout=20)

    assert planning.returncode == ReconcilerError.exit_code
    assert b"a process that was reading the inventory was killed" in stderr
    assert b"the setting `processes`" in stderr


def test_what_only_tells_a_terminal_does_not_end_a_process_that_reads(
    planning: subprocess.Popen[bytes],
) -> None:
    reading = workers(planning)
    for number in (signal.SIGHUP, signal.SIGINT):
        os.kill(reading[0], number)
    _, stderr = planning.communicate(timeout=30)

    assert planning.returncode == 0
    assert said(stderr.decode()) == f"{FIRST}Carry it out with: reconciler apply\n"


def test_a_process_that_is_asked_to_end_ends(planning: subprocess.Popen[bytes]) -> None:
    reading = workers(planning)
    os.kill(planning.pid, signal.SIGSTOP)  # so that it gives it no end itself
    try:
        os.kill(reading[0], signal.SIGTERM)
        deadline = time.monotonic() + 20
        while not gone(reading[0]) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert gone(reading[0])
    finally:
        os.kill(planning.pid, signal.SIGCONT)


HALF = """
import os, struct, sys, time
from pathlib import Path

from reconciler.fleet import pool
from reconciler.__main__ import main


def look(files):
    results = sys._getframe(1).f_locals["result_queue"]
    with results._wlock:
        os.write(results._writer.fileno(), struct.pack("!i", 1_000) + b"half of it")
        written = Path(__file__).with_name("written")
        written.write_text(str(os.getpid()))
        written.rename(written.with_name("struck"))
        time.sleep(60)


def run():
    pool._look = look
    sys.exit(main())
"""


@pytest.mark.parametrize(
    ("killed", "code", "said"),
    [(False, 130, "interrupted"), (True, 1, "a process that was reading the inventory was killed")],
)
def test_half_of_a_result_is_waited_for_by_nobody(
    fleet: Settings, tmp_path: Path, *, killed: bool, code: int, said: str
) -> None:
    (tmp_path / "half.py").write_text(HALF)
    (fleet.root / "two.toml").write_text("processes = 2\n")
    struck = tmp_path / "struck"
    command = "import sys, half; sys.argv[0] = 'reconciler'; half.run()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "--config", "two.toml", "plan", "--no-cache"],
        cwd=fleet.root,
        env=clean_environ() | {"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not struck.exists():
            assert process.poll() is None
            time.sleep(0.01)
        reader = int(struck.read_text())
        assert not gone(reader)

        os.kill(*((reader, signal.SIGKILL) if killed else (process.pid, signal.SIGINT)))
        _, stderr = process.communicate(timeout=10)
    finally:
        process.kill()

    assert process.returncode == code
    assert said in stderr
    assert "Traceback" not in stderr


def test_a_terminal_that_is_closed_on_all_of_them_gets_one_line(fleet: Settings, tmp_path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen(
            [COMMAND, "plan", "--no-cache"],
            cwd=fleet.root,
            env=clean_environ() | {"HOME": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        workers(process)
        os.killpg(process.pid, signal.SIGHUP)
        _, stderr = process.communicate(timeout=20)

        assert (process.returncode, stderr.strip()) == (130, b"interrupted")


def test_a_script_that_is_not_made_to_be_imported_runs_once(fleet: Settings, tmp_path: Path) -> None:
    (fleet.root / "two.toml").write_text("processes = 2\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom reconciler.__main__ import main\n"
        'sys.argv[1:] = ["--config", "two.toml", "plan", "--no-cache"]\nmain()\n'
    )
    for arguments, stdin in (([script], ""), (["-"], script.read_text())):
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=fleet.root,
            env=clean_environ(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

        assert said(ran.stderr) == f"{FIRST}Carry it out with: reconciler --config two.toml apply\n"
        assert ran.stdout.count(f"Plan: {DEVICES:,} to adopt") == 1


def refused(fleet: Settings, *command: str | Path) -> str:
    """What a command says that plans nothing."""
    done = subprocess.run(
        command, cwd=fleet.root, env=clean_environ(), capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_settings_that_the_schema_does_not_know_are_told_of_once(fleet: Settings) -> None:
    config = fleet.root / "odd.toml"
    config.write_text('processes = 2\n[lifecycle]\ntransitions = {bogus = ["active"]}\n')
    stderr = refused(fleet, COMMAND, "--config", config, "plan", "--no-cache")
    config.unlink()

    assert "lifecycle.transitions has 'bogus'" in stderr
    assert "Traceback" not in stderr


def test_a_plan_that_gets_too_few_open_files_says_so(fleet: Settings) -> None:
    assert "Too many open files; nothing was changed; raise the limit" in refused(
        fleet, "sh", "-c", f"ulimit -n 12; exec {COMMAND} plan --no-cache"
    )


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            "mount -t tmpfs -o ro none /dev/shm",
            "a writable /dev/shm: Read-only file system; nothing was changed; make it",
        ),
        ("mount -t tmpfs -o size=0,nr_inodes=1 none /dev/shm", "a writable /dev/shm: No space left on device; nothing"),
    ],
)
def test_a_plan_whose_processes_cannot_share_memory_says_so(fleet: Settings, limits: str, said: str) -> None:
    if subprocess.run(["unshare", "-m", "sh", "-c", limits], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    assert said in refused(fleet, "unshare", "-m", "sh", "-c", f"{limits}; exec {COMMAND} plan --no-cache")


def test_a_plan_that_gets_no_thread_says_so(fleet: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def start(thread: threading.Thread) -> None:
        tried.append(thread)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    with pytest.raises(ReconcilerError, match="can't start new thread; nothing was changed; raise the limit"):
        reconcile.plan(fleet)

    assert tried


def test_what_one_process_saw_move_is_doubted_whatever_the_others_say() -> None:
    tally = Tally()
    for survey in (Survey(), Survey(shifted=True), Survey()):
        tally.add(survey)

    assert tally.shifted

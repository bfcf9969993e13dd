"""Real processes, real signals: one holder at a time, nothing written by a sleeper, nothing lost by a cancelled job."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import COMMAND, Declare, Run, clean_environ, wait_for_commit, wait_for_line
from git_places import bare, cloned

from reconciler.model import Draft, EntryKind
from reconciler.sandbox.server import Sandbox
from reconciler.state.holder import this_process
from reconciler.state.open import open_state
from reconciler.timestamp import stamp

SOAK = os.environ.get("RECONCILER_SOAK") == "1"
ROUNDS = 1000 if SOAK else 200
GRACE = 7.5 if SOAK else 1.0
"""Seconds between the signals of a cancelled CI job: 7.5 from SIGINT to SIGTERM, 2.5 more to SIGKILL in real life."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("url", "rounds"), [("sqlite:state.db", ROUNDS), ("git:reconciler-state", ROUNDS // 20)])
def test_of_sixteen_processes_exactly_one_gets_the_lease_every_time(url: str, rounds: int, tmp_path: Path) -> None:
    place = cloned(tmp_path / "work", bare(tmp_path / "remote.git"))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("race_driver.py"), str(rounds), url],
        cwd=place,
        env=clean_environ(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert json.loads(done.stdout) == {"1": rounds}, done.stderr
    with closing(open_state(url, place)) as state:
        assert state.verify() == rounds


SLEEPER = """
import os, signal, sys, threading
from pathlib import Path
from reconciler.errors import LeaseLost
from reconciler.model import Draft, EntryKind
from reconciler.state.holder import this_process
from reconciler.state.lease import hold
from reconciler.state.open import open_state
from reconciler.state.sqlite import SqliteBackend
state = open_state("sqlite:state.db", Path.cwd())
beat, renew = threading.Lock(), SqliteBackend.renew
def whole(*arguments, **named):
    with beat:
        return renew(*arguments, **named)
SqliteBackend.renew = whole
with hold(state, this_process(os.environ), timeout=5, ttl=1.0, heartbeat=0.2) as held:
    with beat:  # a stop in the midst of a renewal keeps the lock of the file
        os.kill(os.getpid(), signal.SIGSTOP)
    sys.stdin.readline()
    try:
        state.append(held.lease, [Draft(EntryKind.RUN, "2026-01-01T00:00:00.000Z", "sleeper")])
    except LeaseLost:
        sys.exit(5)
"""


def test_a_holder_that_was_stopped_past_its_lease_and_continued_writes_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        cwd=tmp_path,
        env=clean_environ(),
        stdin=subprocess.PIPE,
        encoding="utf-8",
    ) as sleeper:
        stopped = os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert stopped
        assert stopped.si_code == os.CLD_STOPPED
        with closing(open_state("sqlite:state.db", tmp_path)) as state:
            lease = state.lease()
            assert lease
            _until(lambda: time.time() > lease.expires)
            other = state.acquire(this_process(os.environ), ttl=60)
            state.append(other, [Draft(EntryKind.RUN, stamp(time.time()), "other")])
            sleeper.send_signal(signal.SIGCONT)
            sleeper.communicate("go on\n", timeout=10)

            assert sleeper.returncode == 5
            assert [entry.run for entry in state.entries()] == ["other"]


@pytest.mark.parametrize("held_up", ["answers in time", "never answers"])
def test_a_cancelled_job_leaves_no_lock_and_loses_no_outcome(
    held_up: str, declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    """SIGINT, SIGTERM, SIGKILL, as a CI runner sends them."""
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 2\nburst = 1\n")
    serials = [f"AP-{number:02}" for number in range(40)]
    sandbox.seed(*serials)
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    sandbox.faults(f"latency-after-commit={'0.5s' if held_up == 'answers in time' else '60s'}:first=1,serial=AP-01")
    with subprocess.Popen(
        [COMMAND, "-v", "apply", "--auto-approve"],
        cwd=tmp_path,
        env={**clean_environ(), **sandbox.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as job:
        wait_for_line(job, "  200  ")
        wait_for_commit(sandbox, "AP-01")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            job.send_signal(number)
            try:
                job.wait(GRACE)
                break
            except subprocess.TimeoutExpired:
                continue
        job.communicate()

    assert job.returncode in {130, -signal.SIGKILL}
    committed = {serial for serial in serials if sandbox.device(serial)["status"] == "active"}
    answered = {request.serial for request in sandbox.requests("PUT")}
    assert 0 < len(committed) < 40
    assert held_up == "answers in time" or committed - answered == {"AP-01"}
    with closing(open_state("sqlite:.reconciler/state.db", tmp_path)) as state:
        devices = state.read().devices
        assert {serial for serial, held in devices.items() if held.fields} <= committed
        assert committed <= set(devices), "what the server did is applied or unknown, never forgotten"
    sandbox.faults()
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 50\nburst = 1\n")
    began = time.monotonic()
    again = run("apply", "--auto-approve", "--lock-timeout", "0", environ=sandbox.environ)
    assert again.code == 0, again.stderr
    assert time.monotonic() - began < 60
    assert run("plan").stdout.startswith("No changes. All 40 devices are as declared.\n")


STRACE = ("strace", "-f", "-s", "5000", "-o", "trace", "-e", "trace=pwrite64,fsync,fdatasync,sendto")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_intent_is_on_the_disk_before_the_first_byte_of_its_request_leaves(
    declare: Declare, sandbox: Sandbox, tmp_path: Path
) -> None:
    serials = [f"AP-{number}" for number in range(5)]
    sandbox.seed(*serials)
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    done = subprocess.run(
        [*STRACE, COMMAND, "apply", "--auto-approve"],
        cwd=tmp_path,
        env={**clean_environ(), **sandbox.environ},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if "ptrace" in done.stderr and done.returncode:
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr

    durable: set[str] = set()
    written: set[str] = set()
    sent = []
    for call in (tmp_path / "trace").read_text(errors="replace").splitlines():
        if "pwrite64(" in call:
            written |= {serial for serial in serials if re.search(f"intent.{{0,60}}{serial}", call)}
        elif "sync(" in call:
            durable |= written
        elif found := re.search(r'sendto\(.*"PUT /\S*/(AP-\d)/', call):
            sent.append(found[1])
            assert found[1] in durable, f"{found[1]} left before its intent was on the disk"
    assert sorted(sent) == serials


def test_ten_bad_devices_of_two_hundred_leave_a_hundred_and_ninety_applied(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 10000\nburst = 1000\n")
    serials = [f"AP-{number:03}" for number in range(200)]
    sandbox.seed(*serials[:195])
    sandbox.faults("error-before-commit=422:serial=AP-01[0-4]")
    declare(
        "fleet.yaml", json.dumps({"devices": [{"serial_number": serial, "status": "active"} for serial in serials]})
    )
    ran = run("apply", "--auto-approve", environ=sandbox.environ)

    assert ran.code == 3
    assert "Apply: 190 applied, 10 rejected" in ran.stdout
    assert [serial for serial in (*serials[10:15], *serials[195:]) if f"rejected {serial}" not in ran.stdout] == []


def _until(happened: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")

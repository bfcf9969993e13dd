"""A state that cannot be written any more, midway: nothing more is sent, and no answer is lost."""

import json
import subprocess
from pathlib import Path

import jsonschema_rs
import pytest
from conftest import COMMAND, Declare, Run, clean_environ

from reconciler.inventory.schema import packaged_schema
from reconciler.sandbox.server import Sandbox

SERIALS = [f"AP-{number:03}" for number in range(200)]


@pytest.fixture(autouse=True)
def _fleet(declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """A state with one device, and 200 to apply, so slowly that their intents are not all in one write."""
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 100\nburst = 20\n")
    sandbox.seed("first", *SERIALS)
    declare("first.yaml", serial_number="first", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    for serial in SERIALS:
        declare(f"{serial}.yaml", serial_number=serial, status="active", custom_fields={"filler": "x" * 800})
    sandbox.forget_requests()


def applied_until_full(folder: Path, sandbox: Sandbox) -> "subprocess.CompletedProcess[str]":
    """An apply during which the state reaches the size that files may have."""
    blocks = (folder / ".reconciler" / "state.db").stat().st_size // 1024 + 500
    return subprocess.run(
        ["bash", "-c", f'ulimit -f {blocks}; exec "$0" apply --auto-approve', COMMAND],
        cwd=folder,
        env={**clean_environ(), **sandbox.environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_answers_that_the_state_cannot_take_are_saved_and_recovered(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    full = applied_until_full(tmp_path, sandbox)

    assert full.returncode == 1, full.stderr
    sent = {request.serial for request in sandbox.requests()}
    assert 5 < len(sent) < 200, "the fault must strike midway"
    [file] = (tmp_path / ".reconciler").glob("recovery-*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"reconciler state recover {file}" in full.stderr
    recovers(file, sent, run, sandbox)


def test_a_copy_of_the_state_that_cannot_be_written_is_not_blamed_on_the_state(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    for serial in SERIALS[:40]:  # more than SQLite keeps in memory until the end
        declare(f"{serial}.yaml", serial_number=serial, status="active", custom_fields={"filler": "x" * 90_000})
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    before = (tmp_path / ".reconciler" / "state.db").read_bytes()
    ran = subprocess.run(
        ["bash", "-c", 'ulimit -f 150; exec "$0" plan --no-cache', COMMAND],
        cwd=tmp_path,
        env=clean_environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert ran.returncode == 1
    assert ran.stderr == (
        "error: temporary files cannot be used; nothing was changed; make room, or set TMPDIR to a folder that has some"
        " and can be written\n"
    )
    assert (tmp_path / ".reconciler" / "state.db").read_bytes() == before


TROUBLED = """
mount -t tmpfs -o size=700k tmpfs .reconciler && cp state.db .reconciler/ || exit 77
"$0" -v apply --auto-approve --report .reconciler/report.json 2>said &
if [ "$1" = read-only ]; then
    until [ $(grep -c '  200  ' said) -gt 20 ] && mount -o remount,ro .reconciler; do sleep 0.01; done
fi
wait $!
code=$?
cp .reconciler/state.db .
cp .reconciler/state.db-journal .reconciler/recovery-* . 2>/dev/null
cat said >&2
exit $code
"""
"""An apply whose state and report are on a disk of their own."""


@pytest.mark.parametrize(("trouble", "words"), [("full", "the disk is full"), ("read-only", "read-only")])
def test_neither_a_full_nor_a_read_only_disk_costs_an_answer_though_the_report_is_on_it_too(
    trouble: str, words: str, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    mounting = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    sandbox.faults("latency=20ms")  # so that some requests are under way, whenever it strikes
    state = tmp_path / ".reconciler" / "state.db"
    state.rename(tmp_path / "state.db")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", TROUBLED, COMMAND, trouble],
        cwd=tmp_path,
        env={**clean_environ(), **sandbox.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    for file in tmp_path.glob("state.db*"):
        file.rename(state.parent / file.name)

    assert done.returncode == 1, done.stderr
    assert words in done.stderr
    sent = {request.serial for request in sandbox.requests()}
    assert 1 < len(sent) < 200, "the fault must strike midway"
    assert f"Apply: {len(sent)} applied, {200 - len(sent)} not attempted" in done.stdout
    [recovery] = tmp_path.glob("recovery-*.json")
    assert recovery.stat().st_mode & 0o777 == 0o600
    assert f"{recovery.name}; when it can: reconciler state recover " in done.stderr
    assert "report.json: " in done.stderr or trouble == "full", "some room may be left for the report"
    assert not list(tmp_path.glob(".*.new"))
    sandbox.faults()
    recovers(recovery, sent, run, sandbox)


def recovers(file: Path, sent: set[str], run: Run, sandbox: Sandbox) -> None:
    """What was answered is taken from the file, once, and not sent again."""
    saved = json.loads(file.read_text())
    jsonschema_rs.validator_for(packaged_schema("recovery")).validate(saved)
    recovered = run("state", "recover", file)
    assert recovered.code == 0
    assert f"Recovered {len(saved['entries'])} of {len(saved['entries'])} answers" in recovered.stderr
    assert "Recovered 0 of" in run("state", "recover", file).stderr
    [who] = [line for line in run("audit", "log").stdout.splitlines() if "command state recover" in line]
    assert f"recovered {saved['run']}" in who
    assert "by " in who
    sandbox.forget_requests()
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    assert sent.isdisjoint({request.serial for request in sandbox.requests()}), "what was answered is not sent again"
    assert run("plan").stdout.startswith("No changes.")
    assert run("audit", "verify").code == 0

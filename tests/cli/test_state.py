import json
import os
import pty
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import COMMAND, Run, clean_environ
from jsonschema import Draft202012Validator

from reconciler.model import Draft, EntryKind, Holder, Json, Serial
from reconciler.state.sqlite import SqliteBackend
from reconciler.timestamp import stamp

SCHEMA = Path(__file__).parents[2] / "schemas" / "state.schema.json"
HOSTILE = "Lobby\x1b[31m\u202e\n"


def entry(kind: EntryKind, serial: str, **data: Json) -> Draft:
    return Draft(kind, stamp(time.time()), "run-1", Serial(serial), data)


def put(serial: str, outcome: EntryKind, result: Mapping[str, Json], **body: Json) -> list[Draft]:
    fields: list[Json] = [{"path": f"/{name}", "after": value} for name, value in body.items()]
    intent = entry(EntryKind.INTENT, serial, action="adopt", fields=fields, body=body)
    return [intent, entry(outcome, serial, **result)]


@pytest.fixture
def backend(tmp_path: Path) -> SqliteBackend:
    """A state with one device of each standing, where the command finds it by default."""
    backend = SqliteBackend(tmp_path / ".reconciler" / "state.db")
    lease = backend.acquire(Holder("ci/run-42", "elsewhere", "", 7, ""), ttl=900)
    seen: list[Json] = [{"path": "/name", "sent": HOSTILE, "echoed": "LOBBY"}]
    settled: dict[str, Json] = {"status": 200, "attempts": 1}
    backend.append(
        lease,
        [
            *put("AP-0001", EntryKind.APPLIED, settled, name="Lobby", configuration={"vlan": 12, "token": "hunter2"}),
            *put("AP-0002", EntryKind.DIVERGENT, settled | {"divergence": seen}, name=HOSTILE),
            *put("AP-0003", EntryKind.ACCEPTED, {"status": 202, "attempts": 1}, name="Roof"),
            *put("AP-0004", EntryKind.UNKNOWN, {"attempts": 4, "reason": "no answer"}, name="Yard"),
        ],
    )
    backend.release(lease)
    return backend


# --- list ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_list_shows_every_device_and_how_it_stands(run: Run) -> None:
    ran = run("state", "list")

    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "SERIAL   FIELDS  STANDING",
        "AP-0001       2  applied",
        "AP-0002       1  divergent",
        "AP-0003       1  unconfirmed",
        "AP-0004       0  unknown",
    ]


def test_list_as_json_keeps_its_schema(run: Run, backend: SqliteBackend) -> None:
    document = json.loads(run("state", "list", "--format", "json").stdout)

    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert document["lineage"] == backend.read().lineage
    assert document["devices"][3] == {"serial": "AP-0004", "fields": 0, "standing": "unknown"}


def test_a_state_without_devices_is_told_from_none(backend: SqliteBackend, run: Run) -> None:
    for serial in backend.read().devices:
        assert run("state", "forget", serial, "--auto-approve").code == 0
    ran = run("state", "list")

    assert (ran.code, ran.stdout) == (0, "")
    assert ran.stderr == "No devices in the state (sqlite:.reconciler/state.db).\n"


def test_without_a_state_there_are_no_devices_and_none_is_created(run: Run, tmp_path: Path) -> None:
    ran = run("state", "list")

    assert (ran.code, ran.stdout) == (0, "")
    assert (
        ran.stderr == "No devices: there is no state at sqlite:.reconciler/state.db yet; the first apply creates it.\n"
    )
    assert not (tmp_path / ".reconciler").exists()
    assert json.loads(run("state", "list", "--format", "json").stdout)["devices"] == []


def test_a_state_that_the_settings_name_must_be_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text('lineage = "b1c7"\n')

    for command in (["state", "list"], ["audit", "log"], ["audit", "verify"]):
        ran = run(*command)
        assert ran.code == 1
        assert ran.stderr.startswith("error: there is no state at sqlite:.reconciler/state.db, but the settings say")


@pytest.mark.usefixtures("backend")
def test_a_state_of_another_lineage_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text('lineage = "b1c7"\n')

    for command in (["state", "show", "AP-0001"], ["state", "forget", "AP-0001", "--auto-approve"], ["audit", "log"]):
        ran = run(*command)
        assert (ran.code, ran.stdout) == (1, "")
        assert "but the settings say b1c7" in ran.stderr


# --- show ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_show_prints_each_value_by_its_path(run: Run) -> None:
    assert run("state", "show", "AP-0001").stdout.splitlines() == [
        "AP-0001  applied",
        '  name                 "Lobby"',
        "  configuration.vlan   12",
        '  configuration.token  "hunter2"',
    ]


@pytest.mark.usefixtures("backend")
def test_show_says_what_is_not_as_it_should_be_and_spells_out_control_characters(run: Run) -> None:
    assert run("state", "show", "AP-0002").stdout.splitlines() == [
        "AP-0002  divergent",
        r'  name  "Lobby\u001b[31m\u202e\n"',
        "divergent: the server holds something else than was sent",
        r'  name  sent "Lobby\u001b[31m\u202e\n", server holds "LOBBY"',
    ]
    assert "unconfirmed: the server accepted these fields" in run("state", "show", "AP-0003").stdout
    assert (
        'unknown: a PUT of these fields was sent and never answered; the next plan sends them again\n  name  "Yard"'
        in (run("state", "show", "AP-0004").stdout)
    )


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("serial", ["AP-0002", "AP-0004"])
def test_show_as_json_keeps_its_schema(run: Run, serial: str) -> None:
    document = json.loads(run("state", "show", serial, "--format", "json").stdout)

    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert document["serial"] == serial


@pytest.mark.usefixtures("backend")
def test_what_the_schema_calls_a_secret_is_not_shown(run: Run, tmp_path: Path) -> None:
    secret = {"properties": {"configuration": {"properties": {"token": {"writeOnly": True}}}}}
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text(json.dumps(secret))

    for command in (["state", "show", "AP-0001"], ["audit", "log"]):
        for form in ("text", "json"):
            shown = run(*command, "--format", form).stdout
            assert "(sensitive)" in shown
            assert "hunter2" not in shown
            assert "12" in shown


@pytest.mark.usefixtures("backend")
def test_without_a_readable_schema_nothing_is_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text("{")

    for command in (["state", "show", "AP-0001"], ["audit", "log"]):
        ran = run(*command)
        assert (ran.code, ran.stdout) == (1, "")
        assert "device.schema.json" in ran.stderr


@pytest.mark.usefixtures("backend")
def test_an_unknown_serial_comes_with_the_one_that_may_be_meant(run: Run) -> None:
    ran = run("state", "show", "AP-001")
    assert (ran.code, ran.stderr) == (1, "error: AP-001 is not in the state; did you mean AP-0001?\n")

    ran = run("state", "show", "printer")
    assert (ran.code, ran.stderr) == (
        1,
        "error: printer is not in the state; `reconciler state list` shows those that are\n",
    )


# --- forget ----------------------------------------------------------------------------------------------------------


def test_forget_removes_the_device_and_journals_who_did_it(run: Run, backend: SqliteBackend) -> None:
    ran = run("state", "forget", "AP-0001", "--auto-approve", environ={"CI_JOB_ID": "9", "GITLAB_USER_LOGIN": "bob"})

    assert (ran.code, ran.stdout) == (0, "")
    assert ran.stderr == "Forgot AP-0001. The next plan adopts it again, or nothing manages it any more.\n"
    assert "AP-0001" not in backend.read().devices
    [*_, last] = backend.entries()
    assert (last.kind, last.serial, last.data) == (EntryKind.FORGOTTEN, "AP-0001", {"by": "bob in ci/job-9"})
    assert backend.lease() is None
    assert backend.verify() == 9


def test_forget_needs_a_terminal_or_approval(run: Run, backend: SqliteBackend) -> None:
    ran = run("state", "forget", "AP-0001")

    assert ran.code == 64
    assert ran.stderr == "error: there is no terminal to ask on; to forget AP-0001, add --auto-approve\n"
    assert "AP-0001" in backend.read().devices


def test_forget_of_a_device_that_is_not_there_is_an_error(run: Run, backend: SqliteBackend) -> None:
    ran = run("state", "forget", "AP-00001", "--auto-approve")

    assert (ran.code, ran.stderr) == (1, "error: AP-00001 is not in the state; did you mean AP-0001?\n")
    assert backend.head().seq == 8


@pytest.mark.parametrize(("answer", "code", "remains"), [("y\n", 0, []), ("n\n", 130, ["AP-0004"])])
def test_on_a_terminal_forget_says_what_it_means_and_asks(
    backend: SqliteBackend, tmp_path: Path, answer: str, code: int, remains: list[str]
) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        done = subprocess.run(
            [COMMAND, "state", "forget", "AP-0004"],
            cwd=tmp_path,
            env=clean_environ(),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert done.returncode == code
    assert "the next plan adopts it again; otherwise nothing manages it any more" in done.stderr
    assert "A PUT to it was never answered; that, too, is forgotten." in done.stderr
    assert [serial for serial in backend.read().devices if serial == "AP-0004"] == remains


# --- unlock ----------------------------------------------------------------------------------------------------------


def test_unlock_refuses_a_live_lease_and_takes_it_with_force(run: Run, backend: SqliteBackend) -> None:
    lease = backend.acquire(Holder("ci/run-42", "elsewhere", "", 7, ""), ttl=900)

    ran = run("state", "unlock", lease.id)
    assert ran.code == 5
    assert "error: state is locked by ci/run-42 (host elsewhere, pid 7) since " in ran.stderr
    assert ran.stderr.endswith(f"reconciler state unlock {lease.id} --force\n")
    assert backend.lease() == lease

    ran = run("state", "unlock", lease.id, "--force", environ={"CI_JOB_ID": "9"})
    assert (ran.code, ran.stderr) == (0, f"Unlocked: lease {lease.id} of ci/run-42 was taken away.\n")
    assert backend.lease() is None
    [*_, last] = backend.entries()
    assert (last.kind, last.data["lease"], last.data["by"]) == (EntryKind.UNLOCKED, lease.id, "ci/job-9")


@pytest.mark.usefixtures("backend")
def test_unlock_of_what_is_not_locked_is_an_error(run: Run) -> None:
    ran = run("state", "unlock", "7f3a")

    assert (ran.code, ran.stderr) == (1, "error: the state is not locked; there is nothing to unlock\n")


# --- recover ---------------------------------------------------------------------------------------------------------


def recovery(backend: SqliteBackend, file: Path, *entries: Json) -> str:
    document: Json = {"format_version": 1, "lineage": backend.read().lineage, "run": "run-2", "entries": list(entries)}
    file.write_text(json.dumps(document))
    return file.name


@pytest.fixture
def awaiting(backend: SqliteBackend) -> SqliteBackend:
    """The same state, in which a run ended between a PUT of AP-0001 and its answer."""
    lease = backend.acquire(Holder("ci/run-42", "elsewhere", "", 7, ""), ttl=900)
    fields: list[Json] = [{"path": "/name", "before": "Lobby", "after": "Hall"}]
    data: dict[str, Json] = {"action": "update", "fields": fields, "body": {"name": "Hall"}}
    backend.append(lease, [Draft(EntryKind.INTENT, stamp(time.time()), "run-2", Serial("AP-0001"), data)])
    backend.release(lease)
    return backend


ANSWER: dict[str, Json] = {
    "kind": "applied",
    "at": "2026-01-01T00:00:00.000Z",
    "serial": "AP-0001",
    "data": {"status": 200, "attempts": 1},
}


def test_an_answer_that_stands_twice_in_a_file_is_taken_once(run: Run, awaiting: SqliteBackend, tmp_path: Path) -> None:
    ran = run("state", "recover", recovery(awaiting, tmp_path / "r.json", ANSWER, ANSWER))

    assert (ran.code, ran.stderr) == (0, "Recovered 1 of 2 answers; the others were known already.\n")
    assert awaiting.read().devices[Serial("AP-0001")].fields["name"] == "Hall"
    assert awaiting.verify() == 11


@pytest.mark.parametrize(
    "data", [{"status": 200}, {"divergence": "none"}, {"divergence": [{}]}, {"divergence": [{"path": 1}]}]
)
def test_an_answer_that_is_none_is_an_error_and_nothing_is_recorded(
    data: Json, run: Run, awaiting: SqliteBackend, tmp_path: Path
) -> None:
    forged: Json = {**ANSWER, "kind": "divergent", "data": data}
    ran = run("state", "recover", recovery(awaiting, tmp_path / "r.json", forged))

    assert ran.code == 1
    assert ran.stderr.startswith("error: these answers cannot be recorded: ")
    assert awaiting.verify() == 9

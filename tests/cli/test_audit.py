import json
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import COMMAND, Run, clean_environ
from jsonschema import Draft202012Validator

from reconciler.canonical import sha256
from reconciler.model import Draft, EntryKind, Holder, Json, Serial
from reconciler.state.sqlite import SqliteBackend

SCHEMA = Path(__file__).parents[2] / "schemas" / "audit.schema.json"
MORNING, EVENING = "2025-11-23T09:14:00.000Z", "2025-11-23T21:00:00.500Z"
LOG = r"""
2025-11-23 09:14:00Z  run-1  -  run  by alice@desk; command apply
2025-11-23 09:14:00Z  run-1 by alice@desk  AP-0001  intent  adopt: name = 1
2025-11-23 09:14:00Z  run-1 by alice@desk  AP-0001  applied  status 200; attempts 1
2025-11-23 21:00:00Z  run-2  AP-0002  intent  update: name: "Lobby" → "Hall", \
configuration.psk: (sensitive) → (sensitive), status: "active" → (absent)
2025-11-23 21:00:00Z  run-2  AP-0002  divergent  name: sent "Hall", server holds \
"\u001b]0;owned\u0007\u202e\nAP-9999  applied"; status 200; attempts 2
2025-11-23 21:00:00Z  run-2  AP-0001  applied  nothing sent: name: 1 → (absent)
""".lstrip().replace("\\\n", "")
HOSTILE = "\x1b]0;owned\x07\u202e\nAP-9999  applied"


@pytest.fixture
def backend(tmp_path: Path) -> SqliteBackend:
    """Two runs, in the morning and in the evening, where the command finds them by default."""
    backend = SqliteBackend(tmp_path / ".reconciler" / "state.db")
    lease = backend.acquire(Holder("ci/run-42", "elsewhere", "", 7, ""), ttl=900)

    def entry(kind: EntryKind, run: str, serial: str | None, **data: Json) -> Draft:
        return Draft(kind, MORNING if run == "run-1" else EVENING, run, Serial(serial) if serial else None, data)

    renamed: list[Json] = [
        {"path": "/name", "before": "Lobby", "after": "Hall"},
        {"path": "/configuration/psk", "before": "old secret", "after": "new secret", "sensitive": True},
        {"path": "/status", "before": "active"},
    ]
    shown: list[Json] = [{"path": "/name", "sent": "Hall", "echoed": HOSTILE}]
    body: Json = {"name": "Hall", "configuration": {"psk": "new secret", "vlan": 3}}
    backend.append(
        lease,
        [
            entry(EntryKind.RUN, "run-1", None, by="alice@desk", command="apply"),
            entry(
                EntryKind.INTENT, "run-1", "AP-0001", action="adopt", fields=[{"path": "/name", "after": 1}], body={}
            ),
            entry(EntryKind.APPLIED, "run-1", "AP-0001", status=200, attempts=1),
            entry(EntryKind.INTENT, "run-2", "AP-0002", action="update", fields=renamed, body=body),
            entry(EntryKind.DIVERGENT, "run-2", "AP-0002", status=200, attempts=2, divergence=shown),
            entry(EntryKind.APPLIED, "run-2", "AP-0001", fields=[{"path": "/name", "before": 1}]),
        ],
    )
    backend.release(lease)
    return backend


@pytest.mark.usefixtures("backend")
def test_log_is_a_line_an_entry_with_who_when_and_what(run: Run) -> None:
    ran = run("audit", "log")

    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == LOG


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("options", "sequence"),
    [
        (["--serial", "AP-0001"], [2, 3, 6]),
        (["--run", "run-1"], [1, 2, 3]),
        (["--since", "2025-11-23T12:00"], [4, 5, 6]),
        (["--since", "2025-11-23T22:00:00.500+01:00"], [4, 5, 6]),
        (["--since", "2025-11-24"], []),
        (["--serial", "AP-0001", "--since", "2025-11-23T12:00", "--run", "run-2"], [6]),
    ],
)
def test_log_can_be_narrowed_down(run: Run, options: list[str], sequence: list[int]) -> None:
    ran = run("audit", "log", "--format", "json", *options)

    assert [json.loads(line)["seq"] for line in ran.stdout.splitlines()] == sequence


@pytest.mark.usefixtures("backend")
def test_a_time_that_is_none_is_a_usage_error(run: Run) -> None:
    ran = run("audit", "log", "--since", "yesterday")

    assert ran.code == 64
    assert "'yesterday' is not a time; write 2025-01-31 or 2025-01-31T09:00Z" in ran.stderr


@pytest.mark.usefixtures("backend")
def test_log_as_json_lines_keeps_its_schema_and_no_secret(run: Run) -> None:
    ran = run("audit", "log", "--format", "json")

    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    for line in lines:
        validator.validate(line)
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert "secret" not in ran.stdout
    assert lines[3]["data"]["body"] == {"name": "Hall", "configuration": {"psk": "(sensitive)", "vlan": 3}}
    assert ran.stdout.isascii()


@pytest.mark.usefixtures("backend")
def test_anybody_can_check_the_chain_from_the_json_lines(run: Run) -> None:
    """As schemas/audit.schema.json says how; of entries without secrets."""
    for line in run("audit", "log", "--format", "json", "--run", "run-1").stdout.splitlines():
        content = json.loads(line)
        for added in ("format_version", "by", "commit", "url"):
            content.pop(added, None)
        assert content.pop("hash") == sha256(content)


def test_every_kind_of_entry_is_in_the_schema() -> None:
    assert set(json.loads(SCHEMA.read_text())["properties"]["kind"]["enum"]) == set(EntryKind)


def test_a_reader_that_leaves_early_is_no_reason_for_a_traceback(backend: SqliteBackend, tmp_path: Path) -> None:
    lease = backend.acquire(Holder("x", "elsewhere", "", 7, ""), ttl=900)
    backend.append(lease, [Draft(EntryKind.RUN, MORNING, "run-3", None, {"pad": "x" * 99})] * 3000)

    with subprocess.Popen(
        [COMMAND, "audit", "log"], cwd=tmp_path, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        assert b"alice@desk" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_verify_and_head_agree_on_an_intact_journal(run: Run, backend: SqliteBackend) -> None:
    verified, head = run("audit", "verify"), run("audit", "head")

    assert (verified.code, verified.stdout) == (0, "6 entries, chain intact, snapshot matches\n")
    assert (head.code, head.stdout) == (0, f"6 {backend.head().hash}\n")
    assert re.fullmatch(r"6 [0-9a-f]{64}\n", head.stdout)


def test_verify_names_the_place_of_damage(run: Run, backend: SqliteBackend, tmp_path: Path) -> None:
    assert backend.verify() == 6
    db = sqlite3.connect(tmp_path / ".reconciler" / "state.db")
    db.execute("UPDATE journal SET data = replace(data, 'alice', 'mallory') WHERE seq = 1")
    db.commit()
    db.close()

    ran = run("audit", "verify")

    assert (ran.code, ran.stdout) == (1, "")
    assert "state.db is damaged: entry 1 (run, 2025-11-23T09:14:00.000Z) was altered" in ran.stderr
    assert "Restore it from a backup; see docs/state.md" in ran.stderr


@pytest.mark.parametrize("command", ["verify", "head"])
def test_where_there_is_no_journal_there_is_nothing_to_vouch_for(run: Run, command: str) -> None:
    ran = run("audit", command)

    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == "error: there is no state at sqlite:.reconciler/state.db yet; the first apply creates it\n"


def test_the_log_of_no_state_is_empty(run: Run) -> None:
    assert run("audit", "log").stdout == ""

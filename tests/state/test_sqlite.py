import json
import os
import random
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journal_drafts import intent
from sqlite_fleet import fleet_at, hold

from reconciler.errors import StateCorrupt, StateError, StateTooNew
from reconciler.model import DeviceState, Draft, Serial
from reconciler.state.chain import link
from reconciler.state.sqlite import SqliteBackend
from reconciler.state.sqlite_seals import seal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".reconciler" / "state.db"


@pytest.fixture
def fleet(file: Path) -> SqliteBackend:
    return fleet_at(file)


def tamper(file: Path, *statements: str) -> None:
    with sqlite3.connect(file) as db:
        db.create_function("seal_of", 2, seal)
        for statement in statements:
            changed = db.execute(statement).rowcount
            assert changed, f"the fault did not strike: {statement}"
    db.close()


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_only_the_owner_may_read_the_state(fleet: SqliteBackend, file: Path) -> None:
    assert fleet.read().devices
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_folder_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    hold(SqliteBackend(tmp_path / "state.db"))

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.usefixtures("fleet")
def test_nothing_but_the_one_file_is_left_in_the_folder(file: Path) -> None:
    assert [path.name for path in file.parent.iterdir()] == ["state.db"]


def test_a_path_may_hold_anything_that_urls_give_a_meaning_to(tmp_path: Path) -> None:
    file = tmp_path / "100% sure? #1 é" / "state.db"
    hold(SqliteBackend(file))

    assert file.exists()
    assert SqliteBackend(file).read().lineage


# --- what is not a state ---------------------------------------------------------------------------------------------


def other_database(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE device (serial TEXT)")
    db.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: file.write_bytes(b""), "is empty or another program's database"),
        (other_database, "is empty or another program's database"),
        (lambda file: file.write_text("devices: []\n" * 100), "file is not a database"),
        (lambda file: file.write_bytes(b"SQLite format 3\x00" + b"\x00" * 4096), "is damaged|another program's"),
    ],
    ids=["empty", "another program's", "text", "zeros"],
)
def test_a_file_that_is_no_state_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "state.db"
    make(file)
    before = file.read_bytes()
    backend = SqliteBackend(file)

    for attempt in (backend.read, backend.verify, lambda: hold(backend), lambda: list(backend.entries())):
        with pytest.raises(StateCorrupt, match=f"{file}.*({words})"):
            attempt()
    assert file.read_bytes() == before


def test_a_state_of_a_newer_program_is_refused(fleet: SqliteBackend, file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version=2")
    db.close()

    with pytest.raises(StateTooNew, match="has state format 2, this program knows up to 1"):
        fleet.read()
    with pytest.raises(StateTooNew):
        hold(fleet)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    for attempt in (SqliteBackend(tmp_path).read, lambda: hold(SqliteBackend(tmp_path))):
        with pytest.raises(StateError, match=f"{tmp_path} is a folder"):
            attempt()


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / ".reconciler").touch()
    backend = SqliteBackend(tmp_path / ".reconciler" / "state.db")

    for attempt in (backend.read, lambda: hold(backend)):
        with pytest.raises(StateError, match=r"state\.db: Not a directory"):
            attempt()


def test_a_state_that_vanishes_during_a_run_is_an_error_and_does_not_begin_anew(
    fleet: SqliteBackend, file: Path
) -> None:
    lease = hold(fleet)
    file.unlink()

    for attempt in (lambda: fleet.append(lease, [intent(name="Lobby")]), lambda: fleet.renew(lease, ttl=90)):
        with pytest.raises(StateError, match=f"{file}: it or its folder may not be opened"):
            attempt()
    assert list(file.parent.iterdir()) == []


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE device SET body = replace(body, 'AP-0007', 'AP-0008') WHERE serial = 'AP-0007'", "row of AP-0007 was"),
        ("UPDATE device SET serial = 'AP-9999' WHERE serial = 'AP-0007'", "row of AP-9999 was altered"),
        ("UPDATE device SET seal = zeroblob(16) WHERE serial = 'AP-0007'", "row of AP-0007 was altered"),
        ("DELETE FROM device WHERE serial = 'AP-0007'", "39 devices that do not add up to the 40"),
        (
            "INSERT INTO device SELECT 'AP-0041', body, seal_of('AP-0041', body) FROM device WHERE serial = 'AP-0001'",
            "41 devices that do not add up to the 40",
        ),
        (
            "UPDATE device SET body = replace(body, 'name', 'x'), seal = seal_of(serial, replace(body, 'name', 'x'))",
            "40 devices that do not add up to the 40",
        ),
        ("UPDATE sealed SET body = replace(body, '40', '41') WHERE name = 'state'", "row of state was altered"),
        ("DELETE FROM sealed WHERE name = 'state'", "its state row is gone"),
    ],
)
def test_a_snapshot_row_that_was_altered_lost_or_added_is_never_a_snapshot(
    fleet: SqliteBackend, file: Path, statement: str, words: str
) -> None:
    tamper(file, statement)

    with pytest.raises(StateCorrupt, match=rf"{file} is damaged: .*{words}.*Restore it from a backup"):
        fleet.read()


def test_a_damaged_row_is_not_built_upon(fleet: SqliteBackend, file: Path) -> None:
    tamper(file, "UPDATE device SET body = replace(body, 'name', 'nome') WHERE serial = 'AP-0007'")
    lease = hold(fleet)

    with pytest.raises(StateCorrupt, match="AP-0007"):
        fleet.append(lease, [intent(Serial("AP-0007"), name="Lobby")])
    assert fleet.head().seq == 80


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (
            ["UPDATE journal SET data = replace(data, 'AP-0007', 'AP-0008') WHERE seq = 13"],
            r"entry 13 \(intent, .*altered",
        ),
        (["UPDATE journal SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 80"], r"entry 80 \(applied, 2020.*altered"),
        (["UPDATE journal SET serial = x'00' WHERE seq = 13"], "entry 13 cannot be read"),
        (["UPDATE journal SET kind = 'guessed' WHERE seq = 13"], "entry 13 cannot be read"),
        (["UPDATE journal SET data = '{' WHERE seq = 13"], "entry 13 cannot be read"),
        (["DELETE FROM journal WHERE seq = 13"], "entry 13 is missing"),
        (["DELETE FROM journal WHERE seq = 1"], "entry 1 is missing"),
        (["DELETE FROM journal WHERE seq > 70"], "the journal ends at entry 70, but .* up to entry 80"),
        (
            ["DELETE FROM journal WHERE seq = 13", "UPDATE journal SET seq = seq - 1 WHERE seq > 13"],
            r"entry 13 \(applied, .* was altered",
        ),
    ],
)
def test_verify_names_the_place_where_the_journal_is_damaged(
    fleet: SqliteBackend, file: Path, statements: list[str], words: str
) -> None:
    tamper(file, *statements)

    with pytest.raises(StateCorrupt, match=f"{file} is damaged: {words}"):
        fleet.verify()


def test_an_entry_forged_with_a_hash_of_its_own_does_not_fit_the_next(fleet: SqliteBackend, file: Path) -> None:
    [original, *_] = fleet.entries(after=12)
    lie = Draft(original.kind, original.at, original.run, original.serial, intent(name="forged").data)
    [forged] = link([lie], 12, original.previous)
    db = sqlite3.connect(file)
    db.execute("UPDATE journal SET data = ?, hash = ? WHERE seq = 13", (json.dumps(dict(forged.data)), forged.hash))
    db.commit()
    db.close()

    with pytest.raises(
        StateCorrupt, match=r"entry 14 \(applied, .*does not follow entry 13: the chain is broken there"
    ):
        fleet.verify()


def test_verify_sees_a_snapshot_that_is_whole_but_not_what_the_journal_says(fleet: SqliteBackend, file: Path) -> None:
    """As after restoring only half of the tables, or a forgery with knowledge of the format."""
    db = sqlite3.connect(file)
    [[body]] = db.execute("SELECT body FROM device WHERE serial = 'AP-0007'")
    [[sums]] = db.execute("SELECT body FROM sealed WHERE name = 'state'")
    total = int(sums.rpartition(" ")[2].rstrip("}"))
    forged = body.replace("AP-0007", "AP-0008")
    total += int.from_bytes(seal("AP-0007", forged)) - int.from_bytes(seal("AP-0007", body))
    resummed = f"{sums.rpartition(' ')[0]} {total % 2**128}}}"
    db.execute("UPDATE device SET body = ?, seal = ? WHERE serial = 'AP-0007'", (forged, seal("AP-0007", forged)))
    db.execute("UPDATE sealed SET body = ?, seal = ? WHERE name = 'state'", (resummed, seal("state", resummed)))
    db.commit()
    db.close()

    assert fleet.read().devices[Serial("AP-0007")] == DeviceState({"name": "AP-0008"})
    with pytest.raises(StateCorrupt, match="the snapshot of AP-0007 is not what the journal says"):
        fleet.verify()


def test_a_flipped_bit_anywhere_is_found_or_harmless(fleet: SqliteBackend, file: Path) -> None:
    whole, entries, intact = fleet.read(), list(fleet.entries()), file.read_bytes()
    chance = random.Random(3)  # noqa: S311 - places, not secrets
    never_read, found = 0, 0
    for _ in range(1000):
        flipped = bytearray(intact)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        file.write_bytes(flipped)
        try:
            assert fleet.read() == whole
            never_read += 1
            fleet.verify()
            assert list(fleet.entries()) == entries
        except StateError:
            found += 1
        for leftover in file.parent.glob("state.db-*"):
            leftover.unlink()
    assert 1000 - never_read > 15, "no flip struck the snapshot"
    assert found > 500

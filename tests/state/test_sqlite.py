import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journal_drafts import AP, LAPTOP, applied, draft, holder, intent

from reconciler.errors import StateCorrupt, StateError, StateTooNew
from reconciler.model import DeviceState, Draft, EntryKind, Lease, Serial, Snapshot
from reconciler.state.chain import link
from reconciler.state.sqlite import SqliteBackend, seal

REPOSITORY = Path(__file__).parents[2]
DEVICES = [Serial(f"AP-{number:04}") for number in range(1, 41)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".reconciler" / "state.db"


@pytest.fixture
def fleet(file: Path) -> SqliteBackend:
    """Forty devices, each with an intent and an outcome."""
    backend = SqliteBackend(file)
    lease = hold(backend)
    backend.append(
        lease, [entry for serial in DEVICES for entry in (intent(serial, name=f"{serial}"), applied(serial))]
    )
    backend.release(lease)
    return backend


def hold(backend: SqliteBackend) -> Lease:
    return backend.acquire(holder(), ttl=9000)


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
    for _ in range(200):
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
    assert 200 - never_read > 3, "no flip struck the snapshot"
    assert found > 100


# --- crashes ---------------------------------------------------------------------------------------------------------

DIE_HALFWAY = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size=1")  # so that half the transaction reaches the file
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE device SET body = 'x' || body || hex(randomblob(4000))")
db.execute("DELETE FROM journal")
os.kill(os.getpid(), signal.SIGKILL)
"""


def die_halfway(file: Path) -> None:
    before = file.read_bytes()
    done = subprocess.run([sys.executable, "-c", DIE_HALFWAY, file], check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_bytes() != before
    assert file.with_name("state.db-journal").stat().st_size > 0


def test_half_a_transaction_left_by_a_crash_is_undone_by_the_first_reader(fleet: SqliteBackend, file: Path) -> None:
    whole = fleet.read()
    die_halfway(file)

    assert fleet.read() == whole
    assert not file.with_name("state.db-journal").exists()
    assert fleet.verify() == 80


def test_half_a_transaction_left_by_a_crash_is_undone_by_the_first_writer(fleet: SqliteBackend, file: Path) -> None:
    die_halfway(file)

    assert fleet.append(hold(fleet), [intent(AP, name="Lobby")]) == 2
    assert fleet.verify() == 81


# --- a system that says no -------------------------------------------------------------------------------------------

AS_NOBODY = """
import os, sys
from pathlib import Path
from reconciler.errors import StateError
from reconciler.state.holder import this_process
from reconciler.state.chain import link
from reconciler.state.sqlite import SqliteBackend

backend, me = SqliteBackend(Path(sys.argv[1])), this_process({})
if os.geteuid() == 0:  # root may do anything
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for attempt in (lambda: len(backend.read().devices), lambda: backend.acquire(me, ttl=90).epoch):
    try:
        print(attempt())
    except StateError as error:
        print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def shared(fleet: SqliteBackend, file: Path) -> Iterator[Path]:
    """A copy of the state in a folder that every user can reach, with permissions for the test to choose."""
    assert fleet.read().devices
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o777)
        shutil.copy(file, folder / "state.db")
        yield folder / "state.db"
        folder.chmod(0o777)


def as_nobody(file: Path) -> list[str]:
    """What a user without privileges reads and gets."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, file], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_state_in_a_read_only_folder_can_be_read_and_not_locked(shared: Path) -> None:
    shared.chmod(0o666)
    shared.parent.chmod(0o555)

    read, acquired = as_nobody(shared)
    assert read == "40"
    assert acquired.startswith(f"StateError: {shared}: ")
    assert "nothing was written" in acquired


def test_a_read_only_state_can_be_read_and_not_locked(shared: Path) -> None:
    shared.chmod(0o444)

    read, acquired = as_nobody(shared)
    assert read == "40"
    assert acquired.startswith(f"StateError: {shared}: it, its folder or the file system is read-only for this user")


def test_a_state_that_may_not_be_read_is_named(shared: Path) -> None:
    shared.chmod(0)

    for answer in as_nobody(shared):
        assert answer.startswith(f"StateError: {shared}: it or its folder may not be opened by this user")


def test_a_folder_that_may_not_be_entered_is_named(shared: Path) -> None:
    shared.parent.chmod(0)

    for answer in as_nobody(shared):
        assert answer == f"StateError: {shared}: Permission denied"


def test_a_crashed_state_that_its_reader_may_not_repair_is_an_error_not_half_a_snapshot(shared: Path) -> None:
    die_halfway(shared)
    shared.chmod(0o444)
    shared.with_name("state.db-journal").chmod(0o444)
    shared.parent.chmod(0o555)

    for answer in as_nobody(shared):
        assert answer.startswith(f"StateError: {shared}: ")


WITH_A_SMALL_DISK = """
import resource, sys
from pathlib import Path
from reconciler.errors import StateError
from reconciler.model import Draft, EntryKind
from reconciler.state.holder import this_process
from reconciler.state.chain import link
from reconciler.state.sqlite import SqliteBackend

backend = SqliteBackend(Path(sys.argv[1]))
lease = backend.acquire(this_process({}), ttl=90)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for number in range(100):
    try:
        draft = Draft(EntryKind.RUN, "2025-11-23T09:14:00.000Z", "run", None, {"pad": "x" * 9000})
        revision = backend.append(lease, [draft])
        print(revision)
    except StateError as error:
        print(f"{type(error).__name__}: {error}")
        break
"""


def test_when_the_disk_takes_no_more_the_error_says_so_and_nothing_is_lost(fleet: SqliteBackend, file: Path) -> None:
    before = fleet.read()

    done = subprocess.run(
        [sys.executable, "-c", WITH_A_SMALL_DISK, file], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    *revisions, error = done.stdout.splitlines()
    assert len(revisions) > 2
    assert error.startswith(f"StateError: {file}: the disk ")
    assert "nothing was written" in error
    assert fleet.read() == Snapshot(before.lineage, int(revisions[-1]), before.devices)
    assert fleet.verify() == 80 + len(revisions)


def test_a_long_journal_is_read_page_by_page(file: Path) -> None:
    backend = SqliteBackend(file)
    drafts = [draft(EntryKind.RUN, None, number=number) for number in range(2000)]
    backend.append(hold(backend), [*drafts, intent(LAPTOP, name="Desk")])

    assert [entry.seq for entry in backend.entries()] == list(range(1, 2002))
    assert [entry.seq for entry in backend.entries(serial=LAPTOP)] == [2001]

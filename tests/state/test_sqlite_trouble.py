import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_drafts import AP, LAPTOP, draft, intent
from sqlite_fleet import fleet_at, hold

from reconciler.model import EntryKind, Snapshot
from reconciler.state.sqlite import SqliteBackend

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".reconciler" / "state.db"


@pytest.fixture
def fleet(file: Path) -> SqliteBackend:
    return fleet_at(file)


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

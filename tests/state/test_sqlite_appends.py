"""What an append takes from memory, and what many rows at once look like."""

import sqlite3
from pathlib import Path

import pytest
from journal_drafts import AP, applied, draft, holder, intent
from sqlite_fleet import DEVICES, fleet_at, hold

from reconciler.errors import StateCorrupt
from reconciler.model import DeviceState, EntryKind, Serial
from reconciler.state.sqlite import SqliteBackend


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def tamper(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as db:
        assert db.execute(statement).rowcount, "the fault did not strike"
    db.close()


def test_more_devices_than_one_statement_takes_are_all_recorded(file: Path) -> None:
    serials = [Serial(f"D{number}") for number in range(2500)]
    backend = SqliteBackend(file)
    lease = hold(backend)

    backend.append(lease, [intent(serial, name=serial) for serial in serials])
    SqliteBackend(file).append(lease, [applied(serial) for serial in serials])

    assert backend.read().devices == {serial: DeviceState({"name": serial}) for serial in serials}
    assert backend.verify() == 5000


def test_devices_that_leave_and_come_in_one_append_are_counted(file: Path) -> None:
    backend = fleet_at(file)
    new = Serial("NEW")

    backend.append(hold(backend), [draft(EntryKind.RELEASED, DEVICES[0]), intent(new, name="é\ud800"), applied(new)])

    assert backend.read().devices.keys() == {*DEVICES[1:], new}
    assert backend.read().devices[new].fields == {"name": "é\ud800"}
    assert backend.verify() == 83


def test_what_another_wrote_since_is_read_and_not_remembered(file: Path) -> None:
    """One who was let in between: by the time we write again, what we remember is no longer what is there."""
    ours, theirs = fleet_at(file), SqliteBackend(file)
    lease = hold(ours)
    ours.append(lease, [intent(AP, name="ours")])
    ours.release(lease)
    taken = theirs.acquire(holder("bob@there"), ttl=9000)
    theirs.append(taken, [applied(AP), intent(AP, name="theirs")])
    theirs.release(taken)

    ours.append(hold(ours), [applied(AP)])

    assert ours.read().devices[AP] == DeviceState({"name": "theirs"})
    assert ours.verify() == 84


def test_what_did_not_become_durable_is_not_remembered(file: Path) -> None:
    backend = fleet_at(file)
    lease = hold(backend)
    backend.append(lease, [intent(AP, name="first")])
    with pytest.raises(ValueError, match=r"Out of range float values"):
        backend.append(lease, [applied(AP), intent(AP, name=float("nan"))])
    with pytest.raises(ValueError, match="has no intent before it"):
        backend.append(lease, [applied(AP), intent(DEVICES[1], name="x"), applied(AP)])

    backend.append(lease, [applied(AP)])

    assert backend.read().devices[AP] == DeviceState({"name": "first"})
    assert backend.verify() == 82


def test_a_row_that_was_altered_under_our_hands_is_not_built_upon_by_the_next_run(file: Path) -> None:
    backend = fleet_at(file)
    lease = hold(backend)
    backend.append(lease, [intent(AP, name="first")])
    tamper(file, "UPDATE device SET body = replace(body, 'AP-0002', 'x') WHERE serial = 'AP-0002'")

    with pytest.raises(StateCorrupt, match="AP-0002"):
        backend.append(lease, [applied(AP), intent(Serial("AP-0002"), name="second")])
    assert backend.head().seq == 81


@pytest.mark.parametrize("body", ["a\nb", "a\nb\nc\nd", "", "\n"])
def test_a_row_of_any_other_text_is_damage(file: Path, body: str) -> None:
    backend = fleet_at(file)
    tamper(file, f"UPDATE device SET body = '{body}' WHERE serial = 'AP-0001'")  # noqa: S608 - the text of this test

    with pytest.raises(StateCorrupt, match="was altered"):
        backend.append(hold(backend), [intent(AP, name="x"), intent(DEVICES[5], name="y")])

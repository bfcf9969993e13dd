"""What every Backend promises (reconciler/state/backend.py). A backend is done when this passes for it."""

import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest
from git_places import bare, cloned, working_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_drafts import (
    AP,
    AT,
    LAPTOP,
    Clock,
    applied,
    divergent,
    draft,
    forgotten,
    holder,
    intent,
    possible_drafts,
    unknown,
)

from reconciler.canonical import sha256
from reconciler.change_json import device_from_json
from reconciler.errors import LeaseLost, Locked, StateError
from reconciler.model import DeviceState, Draft, Entry, EntryKind, Lease, Snapshot
from reconciler.state.backend import Backend, Head
from reconciler.state.fold import fold
from reconciler.state.open import open_state


@dataclass(frozen=True)
class Place:
    """Somewhere a state can live; every client is a process's own view of it."""

    url: str
    root: Path
    clock: Clock

    def client(self) -> Backend:
        return open_state(self.url, self.root, now=self.clock)

    def real_client(self) -> Backend:
        return open_state(self.url, self.root)

    def settled(self) -> None:
        """Return once nothing that a killed client began is still under way."""
        for _ in range(1000):
            if not working_in(self.root):
                return
            time.sleep(0.01)
        raise AssertionError("it never settled")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sqlite_place(root: Path, clock: Clock) -> Place:
    return Place("sqlite:.reconciler/state.db", root, clock)


def git_place(root: Path, clock: Clock) -> Place:
    return Place("git:reconciler-state", cloned(root / "work", bare(root / "remote.git")), clock)


Make: TypeAlias = Callable[[Path, Clock], Place]


@pytest.fixture(params=[sqlite_place, git_place], ids=["sqlite", "git"])
def make(request: pytest.FixtureRequest) -> Make:
    """Every backend there is. A new one is added to `params`, and is done when the contract passes."""
    made: Make = request.param
    return made


@pytest.fixture
def place(make: Make, tmp_path: Path, clock: Clock) -> Place:
    return make(tmp_path, clock)


TTL = 90.0
ADOPTION = [draft(EntryKind.RUN, None, by="alice@there"), intent(name="Lobby"), applied()]


def taken(backend: Backend) -> Lease:
    return backend.acquire(holder(), ttl=TTL)


def drafts_of(entries: list[Entry]) -> list[Draft]:
    return [Draft(entry.kind, entry.at, entry.run, entry.serial, entry.data) for entry in entries]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_where_nothing_is_everything_is_empty_and_looking_creates_nothing(place: Place) -> None:
    backend = place.client()
    before = sorted(place.root.rglob("*"))

    assert backend.read() == Snapshot(lineage="", revision=0, devices={})
    assert backend.head() == Head(lineage="", revision=0, seq=0, hash="0" * 64)
    assert list(backend.entries()) == []
    assert backend.lease() is None
    assert backend.verify() == 0
    assert sorted(place.root.rglob("*")) == before


def test_taking_the_lease_creates_a_state_of_its_own_lineage_that_stays(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)
    lineage = backend.read().lineage

    backend.append(lease, ADOPTION)
    backend.release(lease)

    assert uuid.UUID(lineage).version == 4
    assert place.client().read().lineage == place.client().head().lineage == lineage


def test_what_was_appended_is_read_by_every_client(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)

    first = backend.append(lease, ADOPTION)
    second = backend.append(lease, [intent(LAPTOP, name="Desk"), divergent(LAPTOP, name="DESK")])

    other = place.client()
    entries = list(other.entries())
    assert (first, second) == (1, 2)
    assert drafts_of(entries[:3]) == ADOPTION
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert other.read().revision == 2
    assert other.read().devices[AP] == DeviceState({"name": "Lobby"})
    assert other.read().devices == fold(entries)
    assert other.head() == Head(other.read().lineage, 2, 5, entries[-1].hash)
    assert other.verify() == 5


def test_entries_can_be_asked_for_by_device_and_from_a_place_on(place: Place) -> None:
    backend = place.client()
    backend.append(taken(backend), [*ADOPTION, intent(LAPTOP, name="Desk"), applied(LAPTOP), unsettled := intent(a=1)])

    assert drafts_of(list(backend.entries(serial=AP, after=2))) == [applied(), unsettled]
    assert [entry.seq for entry in backend.entries(after=4)] == [5, 6]
    assert list(backend.entries(after=6)) == []


def test_every_entry_names_the_hash_of_the_one_before_and_hashes_to_its_own(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)
    for one in ADOPTION:
        backend.append(lease, [one])

    previous = "0" * 64
    for entry in backend.entries():
        content = asdict(entry)
        assert content.pop("hash") == sha256(content)
        assert entry.previous == previous
        previous = entry.hash
    assert previous != "0" * 64


def test_odd_text_from_servers_and_names_survives(place: Place) -> None:
    backend = place.client()
    odd = "\x00\x1b[31m\u202e\ud800 \U0001f600 '\"\\\n"
    backend.append(taken(backend), [intent(AP, **{odd: odd}), divergent(name=odd)])

    assert backend.read().devices == fold(backend.entries())
    assert backend.read().devices[AP].divergence[0].echoed == odd
    assert backend.verify() == 2


def test_true_and_one_stay_what_they_are(place: Place) -> None:
    backend = place.client()
    backend.append(taken(backend), [intent(a=True, b=1, c=1.0, d=2**53 - 1, e=-0.0), applied()])

    values = backend.read().devices[AP].fields.values()
    assert [repr(value) for value in values] == ["True", "1", "1.0", "9007199254740991", "-0.0"]


def test_a_slow_reader_of_the_journal_keeps_no_writer_waiting(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)
    backend.append(lease, [draft(EntryKind.RUN, None, number=number) for number in range(2500)])

    reading = iter(place.client().entries())
    first = next(reading)
    backend.append(lease, ADOPTION)

    assert first.seq == 1
    assert len(list(reading)) in {2499, 2499 + len(ADOPTION)}, "as it was when it was first looked at, or newer"


# --- writing ---------------------------------------------------------------------------------------------------------


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(drafts=possible_drafts(), cuts=st.lists(st.integers(1, 6), min_size=1))
def test_the_snapshot_is_the_fold_of_the_journal_after_every_append(
    tmp_path_factory: pytest.TempPathFactory, make: Make, drafts: list[Draft], cuts: list[int]
) -> None:
    """So a crash between any two appends leaves them in agreement, too."""
    backend = make(tmp_path_factory.mktemp("state"), Clock()).client()
    lease = taken(backend)
    written: list[Draft] = []
    while drafts:
        size = cuts[len(written) % len(cuts)]
        batch, drafts = drafts[:size], drafts[size:]
        revision = backend.append(lease, batch)
        written += batch

        snapshot = backend.read()
        assert drafts_of(list(backend.entries())) == written
        assert snapshot.devices == fold(written)
        assert snapshot.revision == revision
    assert backend.verify() == len(written)


@pytest.mark.parametrize(
    "impossible",
    [applied(LAPTOP), draft(EntryKind.INTENT, body={}), draft(EntryKind.RUN, None, rate=float("nan"))],
    ids=["outcome without intent", "malformed", "not a number"],
)
def test_an_append_with_one_impossible_entry_writes_none(place: Place, impossible: Draft) -> None:
    backend = place.client()
    lease = taken(backend)
    backend.append(lease, ADOPTION)
    before = backend.head(), backend.read()

    with pytest.raises(ValueError, match=r"intent|malformed|JSON compliant"):
        backend.append(lease, [intent(name="Hall"), impossible])

    assert (backend.head(), backend.read()) == before
    assert backend.verify() == 3


def test_threads_may_append_through_one_backend(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)

    with ThreadPoolExecutor(4) as pool:
        revisions = list(pool.map(lambda number: backend.append(lease, [intent(a=number)]), range(24)))

    assert sorted(revisions) == list(range(1, 25))
    assert backend.verify() == 24


# --- the lease -------------------------------------------------------------------------------------------------------


def test_a_held_lease_locks_others_out_and_says_who_holds_it(place: Place) -> None:
    lease = place.client().acquire(holder("ci/run-42", "h"), ttl=TTL)

    with pytest.raises(Locked) as locked:
        place.client().acquire(holder("bob@here"), ttl=TTL)

    assert str(locked.value) == (
        "state is locked by ci/run-42 (host h, pid 123) since 09:14 UTC (lease ends 09:15);"
        f" wait, or, if that run is gone: reconciler state unlock {lease.id}"
    )
    assert locked.value.lease == place.client().lease() == lease


def test_a_lease_that_is_given_back_is_free_for_others_at_a_higher_epoch(place: Place) -> None:
    one, other = place.client(), place.client()
    first = taken(one)
    one.release(first)

    assert one.lease() is None
    assert taken(other).epoch > first.epoch


def test_a_lease_that_ran_out_is_taken_over_and_its_old_holder_can_do_nothing(place: Place, clock: Clock) -> None:
    stopped, other = place.client(), place.client()
    old = taken(stopped)
    clock.seconds += TTL

    new = taken(other)
    with pytest.raises(LeaseLost, match="was taken away; alice@there holds the state now"):
        stopped.append(old, ADOPTION)
    with pytest.raises(LeaseLost, match="was taken away"):
        stopped.renew(old, ttl=TTL)
    stopped.release(old)

    assert new.epoch > old.epoch
    assert other.lease() == new
    assert other.head().seq == 0


def test_nothing_is_written_under_a_lease_that_ran_out_even_if_nobody_took_it(place: Place, clock: Clock) -> None:
    backend = place.client()
    lease = taken(backend)
    clock.seconds += TTL

    with pytest.raises(LeaseLost, match="ran out"):
        backend.append(lease, ADOPTION)
    with pytest.raises(LeaseLost, match="ran out"):
        backend.renew(lease, ttl=TTL)

    assert backend.head().seq == 0


def test_a_renewed_lease_lives_on(place: Place, clock: Clock) -> None:
    backend = place.client()
    lease = taken(backend)
    clock.seconds += TTL - 1
    renewed = backend.renew(lease, ttl=TTL)
    clock.seconds += TTL - 1

    assert renewed == replace(lease, expires=lease.expires + TTL - 1) == backend.lease()
    assert backend.append(lease, ADOPTION) == 1
    with pytest.raises(Locked):
        taken(place.client())


def test_of_many_threads_one_gets_the_lease(place: Place) -> None:
    start = threading.Barrier(8)

    def attempt(_: int) -> bool:
        backend = place.client()
        start.wait()
        try:
            taken(backend)
        except Locked:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        winners = list(pool.map(attempt, range(8)))

    assert winners.count(True) == 1


# --- unlocking -------------------------------------------------------------------------------------------------------


def test_unlocking_a_live_lease_needs_force_and_is_journalled(place: Place) -> None:
    running, operator = place.client(), place.client()
    lease = taken(running)

    with pytest.raises(Locked, match=f"reconciler state unlock {lease.id} --force"):
        operator.unlock(lease.id, by="bob@here", at=AT)
    assert running.append(lease, ADOPTION) == 1

    assert operator.unlock(lease.id, by="bob@here", at=AT, force=True) == lease
    [*_, entry] = operator.entries()
    assert (entry.kind, entry.at, entry.data["lease"], entry.data["by"]) == ("unlocked", AT, lease.id, "bob@here")
    assert operator.lease() is None
    with pytest.raises(LeaseLost, match="was taken away"):
        running.append(lease, [forgotten()])
    assert operator.read().revision == 2
    assert operator.verify() == 4


def test_unlocking_a_lease_that_ran_out_needs_no_force(place: Place, clock: Clock) -> None:
    lease = taken(place.client())
    clock.seconds += TTL

    assert place.client().unlock(lease.id, by="bob@here", at=AT) == lease


def test_only_the_lease_that_was_named_is_taken_away(place: Place) -> None:
    with pytest.raises(StateError, match="not locked"):
        place.client().unlock("7f3a", by="bob@here", at=AT, force=True)

    lease = taken(place.client())
    with pytest.raises(StateError, match=f"there is no lease zzzz; the present one is {lease.id}"):
        place.client().unlock("zzzz", by="bob@here", at=AT, force=True)

    assert place.client().lease() == lease


# --- other processes, and their death --------------------------------------------------------------------------------

HOLD = """
import os, sys
from pathlib import Path
from reconciler.errors import Locked
from reconciler.state.holder import this_process
from reconciler.state.open import open_state

backend = open_state(sys.argv[1], Path(sys.argv[2]))
sys.stdin.readline()
try:
    lease = backend.acquire(this_process({}), ttl=90)
    print("held", flush=True)
except Locked:
    print("locked", flush=True)
sys.stdin.readline()
"""

APPEND = (
    HOLD.rpartition("sys.stdin")[0]
    + """
from reconciler.model import Draft, EntryKind, Serial
number = 0
while True:
    number += 1
    serial = Serial(f"AP-{number % 7}")
    data = {"action": "update", "fields": [{"path": "/n", "after": number}], "body": {"n": number, "pad": "x" * 5000}}
    at = "2025-11-23T09:14:00.000Z"
    drafts = [Draft(EntryKind.INTENT, at, "run", serial, data), Draft(EntryKind.APPLIED, at, "run", serial)]
    print(backend.append(lease, drafts * 3), flush=True)
"""
)


def child(program: str, place: Place) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, place.url, str(place.root)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_living_process_keeps_its_lease_and_a_killed_one_loses_it_at_once(place: Place) -> None:
    with child(HOLD, place) as process:
        say(process)
        assert hear(process) == "held"
        with pytest.raises(Locked, match=f"pid {process.pid}"):
            taken(place.real_client())

        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, though not yet buried
        assert taken(place.real_client()).epoch == 2


def test_of_many_processes_one_gets_the_lease(place: Place) -> None:
    processes = [child(HOLD, place) for _ in range(5)]
    try:
        for process in processes:
            say(process)
        answers = [hear(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()

    assert sorted(answers) == ["held", "locked", "locked", "locked", "locked"]


def test_a_process_killed_while_it_writes_leaves_a_whole_state_with_all_it_was_told_is_durable(place: Place) -> None:
    chance = random.Random(7)  # noqa: S311 - instants, not secrets
    total = 0
    for _ in range(12):
        with child(APPEND, place) as process:
            say(process)
            assert hear(process) == "held"
            for _ in range(chance.randint(1, 4)):
                told = int(hear(process))
            threading.Event().wait(chance.random() / 200)  # anywhere within the next transaction
            process.kill()
            assert process.stdout is not None
            told = max([told, *map(int, process.stdout.read().split())])

        place.settled()
        backend = place.real_client()
        snapshot = backend.read()
        assert snapshot.revision in {told, told + 1}
        assert snapshot.devices == fold(backend.entries())
        assert backend.verify() == 6 * snapshot.revision
        total = told
    assert total >= 12


def test_an_unanswered_put_is_remembered_by_whoever_comes_after_a_crash(place: Place, clock: Clock) -> None:
    crashed = place.client()
    crashed.append(taken(crashed), [intent(name="Lobby")])
    clock.seconds += TTL

    successor = place.client()
    lease = taken(successor)
    successor.append(lease, [intent(name="Lobby"), unknown()])

    state = successor.read().devices[AP]
    assert state.unknown is not None
    assert state.unknown.uncertain


# --- looking at a part -----------------------------------------------------------------------------------------------


def test_a_look_shows_what_moved_since_a_moment_and_what_is_asked_for(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)
    backend.append(lease, ADOPTION)
    then = backend.head()
    backend.append(lease, [intent(LAPTOP, name="Desk"), applied(LAPTOP), draft(EntryKind.ENDED, None)])

    moved, still = place.client().look(then), place.client().look(backend.head(), [AP])

    assert moved is not None
    assert (moved.head, moved.count, moved.touched) == (backend.head(), 2, frozenset([LAPTOP]))
    assert moved.devices == {LAPTOP: backend.read().devices[LAPTOP]}
    assert still is not None
    assert not still.touched
    assert still.devices == {AP: backend.read().devices[AP]}


def test_a_look_and_a_copy_tell_who_holds_the_lease(place: Place) -> None:
    backend, reader = place.client(), place.client()
    lease = taken(backend)

    looks = [reader.look(Head()), reader.copy(lambda _: None)]
    backend.release(lease)
    later = [reader.look(Head()), reader.copy(lambda _: None)]

    assert [look and look.lease for look in looks] == [lease, lease]
    assert [look and look.lease for look in later] == [None, None]


def test_a_device_that_is_gone_was_touched_and_is_not_there(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)
    backend.append(lease, ADOPTION)
    then = backend.head()
    backend.append(lease, [forgotten(AP)])

    look = backend.look(then)

    assert look is not None
    assert (look.count, look.touched) == (0, frozenset([AP]))
    assert not look.devices


def test_from_no_state_on_every_device_was_touched(place: Place) -> None:
    backend = place.client()
    assert backend.look(Head()) is not None
    backend.append(taken(backend), ADOPTION)

    look = backend.look(Head())

    assert look is not None
    assert look.touched == {AP}


def test_a_state_that_does_not_continue_what_was_seen_says_so(place: Place) -> None:
    backend = place.client()
    lease = taken(backend)
    backend.append(lease, ADOPTION)
    seen = backend.head()
    backend.append(lease, [forgotten(AP)])

    assert backend.look(replace(seen, lineage="another")) is None
    assert backend.look(replace(seen, hash="f" * 64)) is None
    assert backend.look(replace(backend.head(), seq=backend.head().seq + 1)) is None


def test_a_copy_is_every_device_of_one_moment(place: Place) -> None:
    backend = place.client()
    backend.append(taken(backend), [*ADOPTION, intent(LAPTOP, name="Desk"), divergent(LAPTOP, name="DESK")])
    kept: list[tuple[str, str]] = []

    look = backend.copy(kept.extend)

    assert {serial: device_from_json(json.loads(body)) for serial, body in kept} == backend.read().devices
    assert [serial for serial, _ in kept] == sorted(backend.read().devices)
    assert (look.head, look.count) == (backend.head(), 2)
    assert look.mark == getattr(backend.look(look.head), "mark", None)

import threading
import time
from pathlib import Path

import pytest
from journal_drafts import Clock, holder, intent

from reconciler.errors import LeaseLost, Locked, ReconcilerError, StateBusy, StateError
from reconciler.model import Holder, Lease
from reconciler.state.lease import TTL, Held, hold, lease_from_json, lease_to_json, locked, patience
from reconciler.state.sqlite import SqliteBackend

LEASE = Lease("7f3a", holder("ci/run-42", "h"), epoch=3, since=1_763_889_240.0, expires=1_763_889_360.0)


@pytest.fixture
def backend(tmp_path: Path) -> SqliteBackend:
    return SqliteBackend(tmp_path / "state.db")


def eventually(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def test_a_lease_is_held_within_the_block_and_given_back_after_it(backend: SqliteBackend) -> None:
    with hold(backend, holder(), timeout=0) as held:
        assert held.lease == backend.lease()
        assert not held.lost
        backend.append(held.lease, [intent(name="Lobby")])

    assert backend.lease() is None
    assert backend.head().seq == 1


def test_a_lease_is_given_back_when_the_block_fails(backend: SqliteBackend) -> None:
    with pytest.raises(ZeroDivisionError), hold(backend, holder(), timeout=0):
        raise ZeroDivisionError

    assert backend.lease() is None


def test_a_lease_is_given_back_where_the_system_lets_nobody_renew_it(backend: SqliteBackend) -> None:
    said = "the system gives no more of what this needs: can't start new thread; nothing was changed"
    usual = threading.stack_size(1 << 46)  # more than any address space holds
    try:
        with pytest.raises(ReconcilerError, match=said), hold(backend, holder(), timeout=0):
            pytest.fail("nobody would renew it")
    finally:
        threading.stack_size(usual)

    assert backend.acquire(holder("bob@here"), ttl=90).epoch == 2


def test_a_held_lease_is_renewed_for_as_long_as_the_block_runs(backend: SqliteBackend) -> None:
    with hold(backend, holder(), timeout=0, ttl=60, heartbeat=0.01) as held:
        first = held.lease
        eventually(lambda: held.lease.expires > first.expires + 0.05)

        assert (held.lease.id, held.lease.epoch) == (first.id, first.epoch)
        assert not held.lost


def test_a_lease_that_is_taken_away_is_lost_and_stays_with_its_new_holder(backend: SqliteBackend) -> None:
    with hold(backend, holder(), timeout=0, heartbeat=0.01) as held:
        backend.unlock(held.lease.id, by="bob@here", at="2025-11-23T09:14:00.000Z", force=True)
        new = backend.acquire(holder("bob@here"), ttl=90)
        eventually(lambda: held.lost)

        with pytest.raises(LeaseLost):
            backend.append(held.lease, [intent(name="Lobby")])

    assert backend.lease() == new


def test_a_process_that_slept_past_its_lease_sees_at_once_that_it_is_lost(tmp_path: Path) -> None:
    clock = Clock()
    backend = SqliteBackend(tmp_path / "state.db", now=clock)
    with hold(backend, holder(), timeout=0, now=clock) as held:
        assert not held.lost
        clock.seconds += 90
        assert held.lost


def test_a_lease_once_lost_stays_lost() -> None:
    clock = Clock()
    held = Held(LEASE, clock)
    clock.seconds = LEASE.expires
    assert held.lost
    clock.seconds -= 60
    assert held.lost


class FailingDisk(SqliteBackend):
    """Renews as a disk that fails a few times, then recovers; and fails for good once the run is over."""

    failures = 0

    def renew(self, lease: Lease, *, ttl: float) -> Lease:
        if self.failures < 3:
            self.failures += 1
            raise StateError("the disk failed")
        return super().renew(lease, ttl=ttl)

    def release(self, lease: Lease) -> None:  # noqa: ARG002 - the contract's name
        raise StateError("the disk failed")


def test_a_failing_disk_costs_heartbeats_not_the_lease_nor_the_result(tmp_path: Path) -> None:
    backend = FailingDisk(tmp_path / "state.db")
    with hold(backend, holder(), timeout=0, ttl=60, heartbeat=0.01) as held:
        first = held.lease
        eventually(lambda: held.lease.expires > first.expires)

    assert backend.failures == 3
    assert backend.lease() is not None


def test_a_busy_lease_is_waited_for_and_the_wait_is_told_once(backend: SqliteBackend) -> None:
    told: list[Locked | StateBusy] = []
    busy = backend.acquire(holder("ci/run-42"), ttl=90)

    def release(error: Locked | StateBusy) -> None:
        told.append(error)
        threading.Timer(0.7, backend.release, [busy]).start()

    with hold(backend, holder("bob@here"), timeout=30, waiting=release) as held:
        assert held.lease.holder.by == "bob@here"
    assert [error.lease for error in told if isinstance(error, Locked)] == [busy]


class LockedFile(SqliteBackend):
    """Another program keeps a lock on the file, twice as long as SQLite waits."""

    times = 2

    def acquire(self, holder: Holder, *, ttl: float) -> Lease:
        self.times -= 1
        if self.times >= 0:
            raise StateBusy("locked by another program")
        return super().acquire(holder, ttl=ttl)


def test_a_file_that_another_program_locks_is_waited_for_like_a_lease(tmp_path: Path) -> None:
    told: list[Locked | StateBusy] = []
    backend = LockedFile(tmp_path / "state.db")
    with hold(backend, holder(), timeout=30, waiting=told.append) as held:
        assert held.lease == backend.lease()
    assert (len(told), backend.times) == (1, -1)

    with pytest.raises(StateBusy), hold(LockedFile(tmp_path / "state.db"), holder(), timeout=0):
        pytest.fail("the lock was not there")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [({}, 10), ({"CI": "true"}, 120), ({"CI": "1"}, 120), ({"CI": "false"}, 10), ({"CI": ""}, 10)],
)
def test_in_ci_a_lease_is_waited_for_longer_than_an_orphaned_one_lives(environ: dict[str, str], seconds: int) -> None:
    assert patience(environ) == seconds
    assert patience({"CI": "true"}) > TTL


def test_a_wait_ends_with_the_timeout(backend: SqliteBackend) -> None:
    busy = backend.acquire(holder(), ttl=90)

    with pytest.raises(Locked, match=f"unlock {busy.id}"), hold(backend, holder("bob@here"), timeout=0.1):
        pytest.fail("the lease was held twice")

    assert backend.lease() == busy


def test_the_message_names_the_day_if_it_is_not_today() -> None:
    assert "since 09:14 UTC (lease ends 09:16)" in str(locked(LEASE, now=LEASE.since + 60))
    assert "since 2025-11-23 09:14 UTC (lease ends 09:16)" in str(locked(LEASE, now=LEASE.since + 86_400))


def test_the_message_leads_to_the_run_that_holds_the_lease() -> None:
    run = Holder("octocat in acme/fleet/run-42", "runner", "", 7, "", "https://ci.example/run/42")
    lease = Lease("7f3a", run, 1, LEASE.since, LEASE.expires)

    assert "(host runner, pid 7, https://ci.example/run/42)" in str(locked(lease, now=LEASE.since))


def test_a_lease_round_trips() -> None:
    assert lease_from_json(lease_to_json(LEASE)) == LEASE

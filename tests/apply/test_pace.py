import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.breaker import Breaker
from reconciler.apply.pace import Pace, Waits, backoff, retry_after, settled_at
from reconciler.model import Intent

NOON = 1_763_899_200.0  # 2025-11-23 12:00:00 UTC


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def paced(time: Time, *, rate: float, burst: int, said: list[str] | None = None) -> Pace:
    return Pace(
        rate=rate,
        burst=burst,
        budget_pct=10,
        budget_floor=10,
        breaker=Breaker(low=50, high=50, threshold=10, cooldown=30, probes=5, clock=time),
        waits=Waits((list[str]() if said is None else said).append, time),
        clock=time,
        sleep=time.sleep,
    )


async def one_request(pace: Pace) -> None:
    pace.ended(probe=await pace.turn(), failed=False)


def sent_at(count: int, *, rate: float, burst: int, pause: float = 0.0) -> list[float]:
    time = Time()
    pace = paced(time, rate=rate, burst=burst)
    if pause:
        pace.hold(pause)

    async def send() -> list[float]:
        moments = []
        for _ in range(count):
            await one_request(pace)
            moments.append(round(time.now - 100.0, 6))
        return moments

    return asyncio.run(send())


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    assert sent_at(5, rate=2, burst=3) == [0, 0, 0, 0.5, 1.0]


def test_a_pause_that_the_server_asked_for_holds_everybody() -> None:
    assert sent_at(3, rate=10, burst=2, pause=30) == [30, 30, 30.0]


def test_many_workers_share_one_tempo() -> None:
    time = Time()
    pace = paced(time, rate=1, burst=1)

    async def all_at_once() -> None:
        turns: list[Awaitable[None]] = [one_request(pace) for _ in range(10)]
        await asyncio.gather(*turns)

    asyncio.run(all_at_once())

    assert time.now >= 100 + 9


def test_retries_are_a_tenth_of_the_requests_and_ten() -> None:
    time = Time()
    pace = paced(time, rate=1e6, burst=1)

    async def send() -> int:
        for _ in range(100):
            await one_request(pace)
        return sum(pace.may_retry() for _ in range(1000))

    assert asyncio.run(send()) == 20


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True, allow_subnormal=False))
def test_a_back_off_stays_below_its_ceiling(attempt: int, jitter: float) -> None:
    wait = backoff(attempt, base=0.5, ceiling=60, jitter=jitter)

    assert 0 <= wait <= min(60, 0.5 * 2.0 ** (attempt - 1))
    assert backoff(attempt, base=1, ceiling=120, jitter=jitter) == 2 * wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        (" 7 ", 7),
        ("99999999999999999999", 300),
        ("Sun, 23 Nov 2025 12:00:30 GMT", 30),
        ("Sun, 23 Nov 2025 11:00:00 GMT", 0),
        ("Sun, 23 Nov 2025 12:00:30", 30),
        ("soon", None),
        ("-5", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("\u0667", None),
        ("7.5", None),
    ],
)
def test_retry_after_is_understood_as_a_delay_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=NOON, longest=300) == seconds


def test_a_different_body_waits_until_the_earlier_request_can_no_longer_arrive() -> None:
    crashed = Intent({"vlan": 2}, (), run="r")
    given_up = replace(crashed, given_up="2025-11-23T12:00:00.000Z")

    assert settled_at(None, {"vlan": 3}, now=NOON, timeout=30, linger=5) == 0
    assert settled_at(crashed, {"vlan": 2}, now=NOON, timeout=30, linger=5) == 0
    assert settled_at(crashed, {"vlan": 3}, now=NOON, timeout=30, linger=5) == NOON + 35
    assert settled_at(given_up, {"vlan": 3}, now=NOON + 1000, timeout=30, linger=7) == NOON + 37


def test_a_clock_that_was_put_right_makes_nobody_wait_for_longer() -> None:
    tomorrow = Intent({"vlan": 2}, (), run="r", given_up="2025-11-24T12:00:00.000Z")

    assert settled_at(tomorrow, {"vlan": 3}, now=NOON, timeout=30, linger=5) == NOON + 35


def test_a_long_wait_is_told_once_and_not_by_every_worker() -> None:
    time, said = Time(), list[str]()
    pace = paced(time, rate=1000, burst=50, said=said)
    pace.hold(60)

    async def all_at_once() -> None:
        turns: list[Awaitable[None]] = [one_request(pace) for _ in range(10)]
        await asyncio.gather(*turns)

    asyncio.run(all_at_once())

    assert said == ["the server asks for a pause (Retry-After): waiting 60 s"]


def test_a_wait_is_told_again_when_it_grows_and_not_at_all_when_it_is_short() -> None:
    time, said = Time(), list[str]()
    waits = Waits(said.append, time)
    for seconds in (2.9, 30.0, 30.0, 32.0, 90.0):
        waits.tell("the reason", seconds)
    time.now += 200
    waits.tell("the reason", 30.0)

    assert said == [f"the reason: waiting {seconds} s" for seconds in (30, 90, 30)]


def test_a_request_that_ends_wakes_one_of_those_who_wait_and_not_all() -> None:
    time = Time()
    pace = paced(time, rate=1e6, burst=1000)

    async def work() -> None:
        for _ in range(50):
            await pace.turn()
        waiting = [asyncio.create_task(one_request_of(pace, held)) for _ in range(20)]
        await asyncio.sleep(0)
        pace.ended(probe=False, failed=False)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(held) == 1
        waiting[1].cancel()  # who is gone is not waited for, and keeps nobody waiting
        for _ in range(5):
            pace.ended(probe=False, failed=False)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(held) == 6
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    held: list[bool] = []
    asyncio.run(work())


async def one_request_of(pace: Pace, held: list[bool]) -> None:
    """Take a turn and keep it."""
    held.append(await pace.turn())
    await asyncio.Event().wait()

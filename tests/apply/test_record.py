import asyncio
import threading
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from reconciler.apply.record import MOST_AHEAD, Recorder, ahead
from reconciler.errors import StateError
from reconciler.model import IMMEDIATE, Draft, EntryKind, Rhythm


def draft(number: int) -> Draft:
    return Draft(EntryKind.RUN, str(number), "run")


def test_what_waits_together_is_written_together_and_in_order() -> None:
    written: list[list[str]] = []
    gate = threading.Event()

    def append(drafts: Sequence[Draft]) -> None:
        gate.wait(5)
        written.append([item.at for item in drafts])

    async def work() -> None:
        recorder = Recorder(append)
        first = asyncio.create_task(recorder.write(draft(0)))
        await asyncio.sleep(0)
        rest = [asyncio.create_task(recorder.write(draft(number))) for number in range(1, 6)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *rest)

    asyncio.run(work())

    assert written == [["0"], ["1", "2", "3", "4", "5"]]


def test_nobody_goes_on_before_the_write_is_durable() -> None:
    order: list[str] = []

    async def work() -> None:
        recorder = Recorder(lambda _: order.append("durable"))
        await recorder.write(draft(0))
        order.append("on")

    asyncio.run(work())

    assert order == ["durable", "on"]


def test_a_write_that_fails_fails_for_all_and_forever() -> None:
    calls = 0

    def append(_: Sequence[Draft]) -> None:
        nonlocal calls
        calls += 1
        raise StateError("disk full")

    async def work() -> None:
        recorder = Recorder(append)
        results = await asyncio.gather(*(recorder.write(draft(n)) for n in range(3)), return_exceptions=True)
        assert [str(result) for result in results] == ["disk full"] * 3
        with pytest.raises(StateError):
            await recorder.write(draft(4))

    asyncio.run(work())

    assert calls == 1


def test_a_write_that_waits_while_another_fails_is_not_tried() -> None:
    calls: list[int] = []
    begun, gate = threading.Event(), threading.Event()

    def append(drafts: Sequence[Draft]) -> None:
        calls.append(len(drafts))
        begun.set()
        gate.wait(5)
        raise StateError("disk full")

    async def work() -> None:
        recorder = Recorder(append)
        first = asyncio.create_task(recorder.write(draft(0)))
        await asyncio.to_thread(begun.wait, 5)
        second = asyncio.create_task(recorder.write(draft(1)))
        await asyncio.sleep(0)
        gate.set()
        ends = await asyncio.gather(first, second, return_exceptions=True)
        assert [str(end) for end in ends] == ["disk full"] * 2

    asyncio.run(work())

    assert calls == [1]


async def _written(rhythm: Rhythm, *, writers: int, come: int) -> list[int]:
    """How many drafts each write held when `come` of `writers` came."""
    sizes: list[int] = []
    recorder = Recorder(lambda drafts: sizes.append(len(drafts)), rhythm)
    with ExitStack() as stack:
        for _ in range(writers):
            stack.enter_context(recorder.writing())
        await asyncio.gather(*(recorder.write(draft(number)) for number in range(come)))
    return sizes


def test_a_write_waits_no_longer_once_enough_have_come_or_nobody_else_can() -> None:
    patient = Rhythm(gather=3600, enough=4)

    assert asyncio.run(_written(patient, writers=9, come=4)) == [4]
    assert asyncio.run(_written(patient, writers=3, come=3)) == [3]
    assert asyncio.run(_written(patient, writers=1, come=1)) == [1]


def test_a_write_waits_for_company_only_so_long() -> None:
    assert asyncio.run(_written(Rhythm(gather=0.01, enough=25), writers=9, come=2)) == [2]


def test_a_write_goes_as_soon_as_those_who_could_come_have_left() -> None:
    async def work() -> list[str]:
        order: list[str] = []
        recorder = Recorder(lambda _: order.append("written"), Rhythm(gather=3600, enough=25))
        with recorder.writing():
            with recorder.writing():
                waiting = asyncio.create_task(recorder.write(draft(1)))
                await asyncio.sleep(0)
                order.append("left")
            await waiting
        return order

    assert asyncio.run(work()) == ["left", "written"]


def test_intents_run_ahead_as_far_as_the_state_is_slow_and_the_server_fast() -> None:
    push = Rhythm(seconds=1.0, gather=2.0, enough=25)

    assert ahead(IMMEDIATE, 10_000) == 0
    assert ahead(push, 5) == 35
    assert ahead(push, 50) == 175
    assert ahead(push, 10_000) == MOST_AHEAD

import asyncio
import threading
from collections.abc import Sequence

import pytest

from reconciler.apply.record import Recorder
from reconciler.errors import StateError
from reconciler.model import Draft, EntryKind


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

"""A run with the real clock and real signals, against an API that answers as told."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import pytest
from examples import applied, desired

from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.judge import Task
from reconciler.apply.pace import Tempo
from reconciler.apply.run import Carried, carry_out
from reconciler.canonical import canonical
from reconciler.errors import Interrupted, LeaseLost
from reconciler.interrupt import ONCE
from reconciler.model import Draft, EntryKind, Json, Rhythm, Serial
from reconciler.plan.diff import diff

TEMPO = Tempo(
    rate_per_second=1000,
    burst=100,
    attempts=2,
    backoff_base=0.5,
    backoff_ceiling=60,
    retry_after_max=300,
    concurrency=2,
    concurrency_min=2,
    retry_budget_pct=10,
    retry_budget_floor=10,
    breaker_failures=100,
    breaker_cooldown=1,
    breaker_probes=3,
)
SERIALS = [f"D{number}" for number in range(6)]


class Api:
    """Calls `on_put` with the number of each request; `hangs` answer after so many `seconds`."""

    def __init__(self, on_put: Callable[[int], None], hangs: Sequence[str] = (), seconds: float = 60) -> None:
        self.sent: list[str] = []
        self._on_put = on_put
        self._hangs, self._seconds = hangs, seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def put(self, serial: Serial, body: Mapping[str, Json]) -> Answer | NotSent | NoAnswer:
        self.sent.append(serial)
        self._on_put(len(self.sent))
        if serial in self._hangs:
            await asyncio.sleep(self._seconds)
        return Answer(200, canonical({"serial_number": serial, **body}).encode())


def carried(
    api: Api,
    journal: list[Draft],
    may_send: Callable[[], bool] = lambda: True,
    say: Callable[[str], None] = lambda _: None,
    max_duration: float | None = None,
) -> Carried:
    changes = diff(
        desired({serial: {"vlan": 2} for serial in SERIALS}), applied({serial: {"vlan": 1} for serial in SERIALS})
    )
    return carry_out(
        [Task(change, {"vlan": 2}) for change in changes],
        run_id="run",
        api=lambda: api,
        append=journal.extend,
        may_send=may_send,
        tempo=TEMPO,
        max_duration=max_duration,
        progress=lambda _: None,
        trace=lambda _: None,
        say=say,
    )


def strike_in(seconds: float, number: signal.Signals) -> None:
    """Send us a signal so much later from the loop of the run: none is left to strike pytest."""
    asyncio.get_running_loop().call_later(seconds, os.kill, os.getpid(), number)


def kinds(run: Carried) -> list[str]:
    return [type(outcome).__name__ for outcome in run.outcomes]


def test_once_the_lease_is_lost_nothing_more_is_sent() -> None:
    held = [True, True, False]
    api = Api(lambda _: None)
    run = carried(api, [], lambda: held.pop(0) if held else False)

    assert api.sent == SERIALS[:2]
    assert isinstance(run.error, LeaseLost)
    assert kinds(run) == ["Applied"] * 2 + ["NotAttempted"] * 4


def test_the_first_signal_lets_requests_finish_and_a_second_gives_them_up() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        journal: list[Draft] = []

        def struck(count: int, number: signal.Signals = number) -> None:
            if count == 3:
                os.kill(os.getpid(), number)

        def heard(_: str, number: signal.Signals = number) -> None:
            strike_in(ONCE + 0.1, number)

        run = carried(Api(struck, hangs=SERIALS[2:]), journal, say=heard)

        assert isinstance(run.error, Interrupted)
        assert kinds(run)[:2] == ["Applied", "Applied"]
        assert "Unknown" in kinds(run), "what was cut off may have been done"
        assert kinds(run)[-1] == "NotAttempted"
        unanswered = {draft.serial for draft in journal if draft.kind is EntryKind.INTENT} - {
            draft.serial for draft in journal if draft.kind is not EntryKind.INTENT
        }
        assert {outcome.change.serial for outcome in run.outcomes if type(outcome).__name__ == "Unknown"} <= unanswered


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_twice_at_once_is_one(second: signal.Signals) -> None:
    told: list[str] = []

    def struck(count: int) -> None:
        if count == 3:
            os.kill(os.getpid(), signal.SIGINT)

    def heard(line: str) -> None:
        told.append(line)
        strike_in(0.1, second)

    run = carried(Api(struck, hangs=SERIALS[2:3], seconds=0.5), [], say=heard)

    assert isinstance(run.error, Interrupted)
    assert set(kinds(run)) == {"Applied", "NotAttempted"}
    assert told == ["nothing new is sent; waiting for the answers that are due; interrupt again to give them up"]


def test_a_run_whose_time_is_over_can_still_be_given_up() -> None:
    def struck(count: int) -> None:
        if count == 3:
            strike_in(0.3, signal.SIGINT)

    def heard(_: str) -> None:
        strike_in(ONCE + 0.1, signal.SIGINT)

    began = time.monotonic()
    run = carried(Api(struck, hangs=SERIALS[2:]), [], say=heard, max_duration=0.1)

    assert run.error is None, "the time was over before the first signal came"
    assert "Unknown" in kinds(run)
    assert time.monotonic() - began < 30


def test_signals_are_handled_as_before_once_a_run_is_over() -> None:
    """Not as Python begins: a loop that ends leaves that behind by itself."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def handler(_number: int, _frame: object) -> None:
        pass

    before = [signal.signal(number, handler) for number in numbers]
    try:
        carried(Api(lambda _: None), [])
        assert [*map(signal.getsignal, numbers)] == [handler] * 3
    finally:
        for number, known in zip(numbers, before, strict=True):
            signal.signal(number, known)


def test_a_run_under_nohup_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = carried(Api(lambda count: os.kill(os.getpid(), signal.SIGHUP) if count == 3 else None), [])
    finally:
        signal.signal(signal.SIGHUP, before)

    assert kinds(run) == ["Applied"] * len(SERIALS)


def test_a_slow_state_does_not_slow_the_requests_and_still_holds_each_intent_before_its_request() -> None:
    """400 requests at 200 a second, with writes of 0.2 s: at 32 intents a time, they would need more than 20 writes."""
    serials = [f"D{number:03}" for number in range(400)]
    durable: list[Draft] = []
    writes: list[int] = []

    def append(drafts: Sequence[Draft]) -> None:
        time.sleep(0.2)
        durable.extend(drafts)
        writes.append(len(drafts))

    intended = {}
    api = Api(lambda number: intended.update({number: {draft.serial for draft in durable}}))
    changes = diff(
        desired({serial: {"vlan": 2} for serial in serials}), applied({serial: {"vlan": 1} for serial in serials})
    )
    run = carry_out(
        [Task(change, {"vlan": 2}) for change in changes],
        run_id="run",
        api=lambda: api,
        append=append,
        may_send=lambda: True,
        tempo=replace(TEMPO, rate_per_second=200, burst=1, concurrency=16),
        rhythm=Rhythm(seconds=0.2, gather=2.0, enough=25),
        max_duration=None,
        progress=lambda _: None,
        trace=lambda _: None,
        say=lambda _: None,
    )

    assert kinds(run) == ["Applied"] * 400
    assert all(serial in intended[number] for number, serial in enumerate(api.sent, 1))
    assert len(writes) < 20

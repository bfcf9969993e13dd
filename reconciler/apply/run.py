"""One run from the first task to the last, with the real clock, the real network and the user's signals."""

import asyncio
import gc
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.breaker import Breaker
from reconciler.apply.execute import Clock, Execution, Stop
from reconciler.apply.judge import Task
from reconciler.apply.pace import Pace, Tempo, Waits
from reconciler.apply.record import ahead
from reconciler.errors import Interrupted, LeaseLost, ReconcilerError
from reconciler.interrupt import ONCE
from reconciler.model import IMMEDIATE, Applied, Draft, Json, Outcome, Plan, Rhythm, Serial

INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of every task, what could not be recorded of it, and why the run ended early, if it did."""

    outcomes: tuple[Outcome, ...]
    unrecorded: tuple[Draft, ...]
    error: ReconcilerError | None


@dataclass(frozen=True, slots=True)
class Run:
    """What became of an apply. `done` stood where the plan leads already; `error` is why the run ended early, if so.

    `started` is as the journal writes it, `seconds` how long the run took. `recovery` is the document of the outcomes
    that the state could not take, or None.
    """

    id: str
    plan: Plan
    outcomes: tuple[Outcome, ...]
    done: tuple[Serial, ...]
    error: ReconcilerError | None
    started: str
    seconds: float
    recovery: dict[str, Json] | None = None

    @property
    def exit_code(self) -> int:
        """The error's, else 3 if some device is not known to be as declared, else 0."""
        if self.error:
            return self.error.exit_code
        return 0 if all(isinstance(outcome, Applied) for outcome in self.outcomes) else 3


class Api(AbstractAsyncContextManager["Api"], Protocol):
    """What a run needs of DeviceApi."""

    async def put(self, serial: Serial, body: Mapping[str, Json]) -> Answer | NotSent | NoAnswer:
        """Send one partial update."""
        ...


def carry_out(
    tasks: Sequence[Task],
    *,
    run_id: str,
    api: Callable[[], Api],
    append: Callable[[Sequence[Draft]], object],
    may_send: Callable[[], bool],
    tempo: Tempo,
    rhythm: Rhythm = IMMEDIATE,
    max_duration: float | None,
    progress: Callable[[Outcome], None],
    retried: Callable[[], None] = lambda: None,
    trace: Callable[[str], None],
    say: Callable[[str], None],
) -> Carried:
    """The outcome of every task, in their order, and why the run ended early, if it did.

    The first SIGINT, SIGTERM or SIGHUP, or `max_duration` seconds, let nothing new start; a second signal gives up what
    is in flight, unless it comes within `ONCE`. `may_send` is asked before every request, `trace` is told of
    each in a line, `say` of signals and of every notable wait, `retried` of each device that is asked again. Never
    raises for a device, the server or the state.
    """
    execution: Execution | None = None
    asked: set[Serial] = set()

    async def work(stop: Stop) -> None:
        nonlocal execution
        async with api() as server:

            async def put(serial: Serial, body: Mapping[str, Json]) -> Answer | NotSent | NoAnswer:
                if not may_send():
                    raise LeaseLost("the lease on the state was lost; nothing more was sent; run apply again")
                if serial in asked:
                    retried()
                asked.add(serial)
                began = time.monotonic()
                answer = await server.put(serial, body)
                said = str(answer.status) if isinstance(answer, Answer) else answer.reason
                trace(f"PUT {serial}  {said}  {time.monotonic() - began:.3f} s")
                return answer

            waits = Waits(say, time.monotonic)
            execution = Execution(
                tasks,
                put=put,
                append=append,
                pace=pace(tempo, waits, clock=time.monotonic, sleep=stop.sleep),
                waits=waits,
                stop=stop,
                clock=Clock(time.time, random.random),
                run_id=run_id,
                tempo=tempo,
                rhythm=rhythm,
                ahead=ahead(rhythm, tempo.rate_per_second),
                progress=progress,
            )
            await execution.run()

    gc.freeze()  # what is there now stays to the end: a plan and a state, too large to be searched again and again
    try:
        stop = _until_interrupted(work, max_duration, say)
    finally:
        gc.unfreeze()
    assert execution is not None  # noqa: S101 - work has run
    outcomes = tuple(execution.outcomes[task.change.serial] for task in tasks)
    return Carried(outcomes, tuple(execution.unrecorded), stop.error)


def pace(tempo: Tempo, waits: Waits, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> Pace:
    """The pace that a tempo asks for."""
    return Pace(
        rate=tempo.rate_per_second,
        burst=tempo.burst,
        budget_pct=tempo.retry_budget_pct,
        budget_floor=tempo.retry_budget_floor,
        breaker=Breaker(
            low=min(tempo.concurrency_min, tempo.concurrency),
            high=tempo.concurrency,
            threshold=tempo.breaker_failures,
            cooldown=tempo.breaker_cooldown,
            probes=tempo.breaker_probes,
            clock=clock,
        ),
        waits=waits,
        clock=clock,
        sleep=sleep,
    )


def _until_interrupted(
    work: Callable[[Stop], Awaitable[None]], max_duration: float | None, say: Callable[[str], None]
) -> Stop:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]  # nohup
    try:
        return asyncio.run(_interruptible(work, max_duration, say, [*before]))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _interruptible(
    work: Callable[[Stop], Awaitable[None]],
    max_duration: float | None,
    say: Callable[[str], None],
    numbers: Sequence[signal.Signals],
) -> Stop:
    stop = Stop()
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(work(stop))

    first: float | None = None

    def interrupt() -> None:
        nonlocal first
        now = time.monotonic()
        if first is None:
            first = now
            stop.now(INTERRUPTED, Interrupted(INTERRUPTED))
            say("nothing new is sent; waiting for the answers that are due; interrupt again to give them up")
        elif now - first > ONCE:
            running.cancel()

    for number in numbers:
        loop.add_signal_handler(number, interrupt)
    if max_duration is not None:
        loop.call_later(max_duration, stop.now, "--max-duration is over")
    await asyncio.wait([running])
    if not running.cancelled():
        await running
    return stop

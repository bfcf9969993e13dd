"""Plan -> Outcomes: bounded workers, each device on its own, nothing sent before its intent is durable."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.apply import drafts
from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.judge import Again, Halt, Task, judge
from reconciler.apply.pace import Pace, backoff, retry_after
from reconciler.apply.record import Recorder
from reconciler.errors import ApiError, ReconcilerError
from reconciler.model import Applied, Draft, Json, NotAttempted, Outcome, Rejected, Serial, Unknown

Put: TypeAlias = Callable[[Serial, Mapping[str, Json]], Awaitable[Answer | NotSent | NoAnswer]]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as a run sees it: `wall` in UNIX seconds, `stamp` as the journal writes it; and `jitter` in [0, 1)."""

    wall: Callable[[], float]
    stamp: Callable[[], str]
    jitter: Callable[[], float]


@dataclass(slots=True)
class Stop:
    """Why nothing new may start. Set once; the first reason stays. `error` None: the run just ends early."""

    reason: str = ""
    error: ReconcilerError | None = None
    _event: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self, reason: str, error: ReconcilerError | None = None) -> None:
        """Nothing new starts; what is in flight finishes."""
        if not self._event.is_set():
            self.reason, self.error = reason, error
            self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the run stops. Raises Stopped if it does."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

    def __bool__(self) -> bool:
        return self._event.is_set()


class Stopped(Exception):
    """The run is stopping, and this wait is over."""


class Execution:
    """One run over its tasks. `outcomes` grows while it runs; after `run`, every task has exactly one."""

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        put: Put,
        append: Callable[[Sequence[Draft]], object],
        pace: Pace,
        stop: Stop,
        clock: Clock,
        run_id: str,
        attempts: int,
        concurrency: int,
        progress: Callable[[Outcome], None],
    ) -> None:
        self._tasks = tasks
        self._put = put
        self._recorder = Recorder(append)
        self._pace = pace
        self._stop = stop
        self._clock = clock
        self._run_id = run_id
        self._attempts = attempts
        self._concurrency = concurrency
        self._progress = progress
        self._in_flight: dict[Serial, str] = {}
        self.outcomes: dict[Serial, Outcome] = {}

    async def run(self) -> None:
        """Carry out every task. Raises only if the state cannot be written; the outcomes so far stay readable.

        The first request goes alone: a wrong URL or a wrong token costs one request, not sixteen.
        """
        queue = iter(self._tasks)
        try:
            await self._worker(queue, until_first_answer=True)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._worker(queue))
        except* ReconcilerError as errors:
            raise errors.exceptions[0] from None
        finally:
            self._account_for_the_rest()

    async def _worker(self, queue: Iterator[Task], *, until_first_answer: bool = False) -> None:
        for task in queue:
            outcome = await self._device(task)
            self.outcomes[task.change.serial] = outcome
            self._in_flight.pop(task.change.serial, None)
            self._progress(outcome)
            if until_first_answer and task.body:
                if isinstance(outcome, NotAttempted) and not self._stop:
                    self._stop.now(
                        "the server cannot be reached",
                        ApiError(f"{outcome.reason}; check api.base_url and the network"),
                    )
                return

    async def _device(self, task: Task) -> Outcome:
        if self._stop:
            return NotAttempted(task.change, self._stop.reason)
        if not task.body:
            await self._recorder.write(drafts.unsent(task, run=self._run_id, at=self._clock.stamp()))
            return Applied(task.change, None, 0)
        try:
            await self._pace.turn()
        except Stopped:
            return NotAttempted(task.change, self._stop.reason)
        await self._recorder.write(drafts.intent(task, run=self._run_id, at=self._clock.stamp()))
        self._in_flight[task.change.serial] = "the run ended before the answer came"
        outcome = await self._attempted(task)
        self._in_flight[task.change.serial] = "answered, but the answer could not be recorded"
        await self._recorder.write(drafts.result(outcome, run=self._run_id, at=self._clock.stamp()))
        return outcome

    async def _attempted(self, task: Task) -> Outcome:
        """Up to `attempts` sends of one task. Once the fate of one is unknown, only a 200 settles it."""
        uncertain = ""
        again = Again("", sent=False)
        sent = 0
        for attempt in range(1, self._attempts + 1):
            if self._stop:
                break
            verdict = await self._send(task, attempt)
            sent = attempt
            match verdict:
                case Again():
                    again = verdict
                    uncertain = verdict.reason if verdict.unknown else uncertain
                case Rejected(_, status, _, reasons) if uncertain:
                    words = "; ".join(text for _, text in reasons)
                    return Unknown(task.change, attempt, f"{uncertain}; then {status} {words}")
                case _:
                    return verdict
            if attempt == self._attempts or not await self._wait(again, attempt):
                break
        if uncertain:
            return Unknown(task.change, sent, uncertain)
        if again.sent:
            return Rejected(task.change, again.status or 0, sent, (("", again.reason),))
        return NotAttempted(task.change, again.reason or self._stop.reason)

    async def _send(self, task: Task, attempt: int) -> Outcome | Again:
        try:
            answer = await self._put(task.change.serial, task.body)
        except ApiError as error:
            self._stop.now(str(error), error)
            return NotAttempted(task.change, str(error))
        verdict = judge(task, answer, attempt)
        if isinstance(verdict, Halt):
            self._stop.now(str(verdict.error), verdict.error)
            return verdict.outcome
        return verdict

    async def _wait(self, again: Again, attempt: int) -> bool:
        """Wait for another attempt's turn; False if there is to be none."""
        if self._stop or not self._pace.may_retry():
            return False
        asked = retry_after(again.retry_after, now=self._clock.wall())
        try:
            if asked is None:
                await self._stop.sleep(backoff(attempt, jitter=self._clock.jitter()))
            else:
                self._pace.hold(asked)
            await self._pace.turn()
        except Stopped:
            return False
        return True

    def _account_for_the_rest(self) -> None:
        for task in self._tasks:
            serial = task.change.serial
            if serial in self._in_flight:
                self.outcomes[serial] = Unknown(task.change, 1, self._in_flight[serial])
            elif serial not in self.outcomes:
                self.outcomes[serial] = NotAttempted(task.change, self._stop.reason or "the run ended early")

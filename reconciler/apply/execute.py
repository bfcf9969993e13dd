"""Plan -> Outcomes: bounded workers, each device on its own, nothing sent before its intent is durable."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from reconciler.apply import drafts
from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.judge import NOT_FOUND, REFUSED_FOR_NOW, Again, Halt, Task, judge
from reconciler.apply.pace import Pace, Tempo, Waits, backoff, retry_after
from reconciler.apply.record import Recorder
from reconciler.errors import ApiError, ReconcilerError
from reconciler.model import (
    IMMEDIATE,
    Accepted,
    Applied,
    Divergent,
    Draft,
    Json,
    NotAttempted,
    Outcome,
    Rejected,
    Rhythm,
    Serial,
    Unknown,
)
from reconciler.timestamp import stamp

Put: TypeAlias = Callable[[Serial, Mapping[str, Json]], Awaitable[Answer | NotSent | NoAnswer]]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as a run sees it: `wall` in UNIX seconds; and `jitter` in [0, 1)."""

    wall: Callable[[], float]
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
        """Wait, unless the run stops. Raises Stopped if it does, or has."""
        if seconds > 0 and not self:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._event.wait()
        if self:
            raise Stopped

    def __bool__(self) -> bool:
        return self._event.is_set()


class Stopped(Exception):
    """The run is stopping, and this wait is over."""


FIRST = 5
READY = 0.25
"""Seconds before its slot in which an intent is made durable: a crash leaves in doubt what waits for its turn, too."""
UNREACHABLE = "the server cannot be reached"
DOWN = "the server failed every request for too long"


class Execution:
    """One run over its tasks. `outcomes` grows while it runs; after `run`, every task has exactly one.

    `unrecorded` are outcomes that the state could not take any more.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        put: Put,
        append: Callable[[Sequence[Draft]], object],
        pace: Pace,
        waits: Waits,
        stop: Stop,
        clock: Clock,
        run_id: str,
        tempo: Tempo,
        rhythm: Rhythm = IMMEDIATE,
        ahead: int = 0,
        progress: Callable[[Outcome], None],
    ) -> None:
        self._tasks = tasks
        self._put = put
        self._recorder = Recorder(append, rhythm)
        self._pace = pace
        self._waits = waits
        self._stop = stop
        self._clock = clock
        self._run_id = run_id
        self._tempo = tempo
        self._workers = 2 * tempo.concurrency + ahead
        self._ready = READY + ahead / tempo.rate_per_second
        self._progress = progress
        self._in_flight: dict[Serial, Task] = {}
        there = {task.change.serial for task in tasks}
        self._awaited = {task.change.waits_for: asyncio.Event() for task in tasks if task.change.waits_for in there}
        self._answered = self._not_found = 0
        self.unrecorded: list[Draft] = []
        self.outcomes: dict[Serial, Outcome] = {}

    async def run(self) -> None:
        """Carry out every task. Never raises for a device, the server or the state: `stop` says why it ended early.

        The first request goes alone: a wrong URL or a wrong token costs one request, not sixteen. There are two workers
        for each request that may be under way, and `ahead` more where the state is slow, so that the next intents are
        durable before their turn comes; but no more than the pace asks for.
        """
        first = next((task for task in self._tasks if task.body and task.change.waits_for not in self._awaited), None)
        queue = iter([task for task in self._tasks if task is not first])
        try:
            if first:
                await self._worker(iter([first]))
                outcome = self.outcomes[first.change.serial]
                if isinstance(outcome, NotAttempted) and not self._stop:
                    self._stop.now(UNREACHABLE, ApiError(f"{outcome.reason}; check api.base_url and the network"))
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._worker(queue))
        finally:
            self._account_for_the_rest()

    async def _worker(self, queue: Iterator[Task]) -> None:
        with self._recorder.writing():
            for task in queue:
                outcome = await self._device(task)
                self.outcomes[task.change.serial] = outcome
                self._in_flight.pop(task.change.serial, None)
                if awaited := self._awaited.get(task.change.serial):
                    awaited.set()
                self._progress(outcome)

    async def _device(self, task: Task) -> Outcome:
        """One device from its durable intent to its durable outcome. What cannot be recorded stops the run.

        A device that waits for another comes after it in the tasks, so that somebody is at that one already.
        """
        first = task.change.waits_for
        if first in self._awaited:
            await self._awaited[first].wait()
            if first and not isinstance(self.outcomes[first], Applied | Divergent | Accepted):
                return NotAttempted(task.change, f"{first}, which replaces it, does not have what it should yet")
        due = await self._near(task) if task.body else None
        if self._stop:
            return NotAttempted(task.change, self._stop.reason)
        at = stamp(self._clock.wall())
        made = drafts.unsent if not task.body else drafts.intended
        if not await self._recorded(*made(task, run=self._run_id, at=at)):
            return NotAttempted(task.change, self._stop.reason)
        if not task.body:
            return Applied(task.change, None, 0)
        self._in_flight[task.change.serial] = task
        outcome = await self._attempted(task, probe=await self._turn(due))
        at = stamp(self._clock.wall())
        entries = drafts.results(outcome, run=self._run_id, at=at)
        if not await self._recorded(*entries):
            self.unrecorded += entries
        return outcome

    async def _recorded(self, *entries: Draft) -> bool:
        try:
            await self._recorder.write(*entries)
        except ReconcilerError as error:
            self._stop.now(str(error), error)
            return False
        return True

    async def _attempted(self, task: Task, *, probe: bool | None) -> Outcome:
        """Up to `attempts` sends of one task, from its turn on. Once the fate of one is unknown, only a 200 settles it.

        `probe` is what `_turn` said.
        """
        uncertain = ""
        again = Again("", sent=False)
        sent = 0
        while probe is not None:
            verdict = await self._send(task, sent + 1, probe=probe)
            sent += 1
            match verdict:
                case Again():
                    again = verdict
                    uncertain = verdict.reason if verdict.unknown else uncertain
                case Rejected(_, status, _, reasons) if uncertain:
                    words = "; ".join(text for _, text in reasons)
                    return Unknown(task.change, sent, f"{uncertain}; then {status} {words}")
                case NotAttempted(_, reason) if uncertain:
                    return Unknown(task.change, sent, f"{uncertain}; then {reason}")
                case _:
                    return _answered(verdict, late=task.again or bool(uncertain))
            more = sent < self._tempo.attempts and await self._may_try_again(again, sent)
            probe = await self._turn() if more else None
        if uncertain:
            return Unknown(task.change, sent, uncertain)
        if again.sent:
            words = again.reason.removeprefix(f"{again.status} ")
            return Rejected(task.change, again.status or 0, sent, (("", words),))
        return NotAttempted(task.change, again.reason or self._stop.reason)

    async def _near(self, task: Task) -> float | None:
        """When its request may leave, once that is so near that its intent may be written; None if the run stops."""
        try:
            while (wait := task.not_before - self._clock.wall()) > 0:
                self._waits.tell("an unanswered request with other values may still arrive", wait)
                await self._stop.sleep(wait)
            due = self._pace.slot()
            await self._pace.near(due, self._ready)
        except Stopped:
            return None
        return due

    async def _turn(self, due: float | None = None) -> bool | None:
        """As Pace.turn; None if the run stops before."""
        try:
            return await self._pace.turn(due) if not self._stop else None
        except Stopped:
            return None

    async def _send(self, task: Task, attempt: int, *, probe: bool) -> Outcome | Again:
        verdict: Outcome | Again | Halt = Again("the request was given up")
        try:
            verdict = judge(task, await self._put(task.change.serial, task.body), attempt)
        except ReconcilerError as error:
            self._stop.now(str(error), error)
            verdict = NotAttempted(task.change, str(error))
        finally:
            failed = isinstance(verdict, Again)
            overloaded = isinstance(verdict, Again) and verdict.status == REFUSED_FOR_NOW
            self._pace.ended(probe=probe, failed=failed and not overloaded, overloaded=overloaded)
        if isinstance(verdict, Again):
            self._pace.hold(self._asked(verdict) or 0.0)
        if self._pace.given_up:
            self._stop.now(DOWN, ApiError(f"{DOWN}; the last answer: {getattr(verdict, 'reason', '')}"))
        self._first_answers(verdict)
        if isinstance(verdict, Halt):
            self._stop.now(str(verdict.error), verdict.error)
            return verdict.outcome
        return verdict

    async def _may_try_again(self, again: Again, attempt: int) -> bool:
        """After failed attempt number `attempt`: wait as long as is due; False if there is to be no other."""
        if self._stop or not self._pace.may_retry():
            return False
        if self._asked(again) is not None:
            return True
        tempo = self._tempo
        wait = backoff(attempt, base=tempo.backoff_base, ceiling=tempo.backoff_ceiling, jitter=self._clock.jitter())
        try:
            await self._stop.sleep(wait)
        except Stopped:
            return False
        return True

    def _asked(self, again: Again) -> float | None:
        """Seconds of silence that an answer asks all workers for, whether this device is tried again or not."""
        return retry_after(again.retry_after, now=self._clock.wall(), longest=self._tempo.retry_after_max)

    def _first_answers(self, verdict: Outcome | Again | Halt) -> None:
        """Stop if the server knows none of the first few serials: the URL is wrong, or the fleet is another one.

        Asked as each answer comes, not once it is durable: by then the next requests would have left.
        """
        if self._answered < FIRST and not (isinstance(verdict, Again) and verdict.status is None):
            self._answered += 1
            self._not_found += isinstance(verdict, Rejected) and verdict.status == NOT_FOUND
            if self._not_found == FIRST:
                self._stop.now(f"the first {FIRST} answers were all 404; check api.base_url and the serial numbers")

    def _account_for_the_rest(self) -> None:
        for task in self._tasks:
            serial = task.change.serial
            if serial in self._in_flight:
                self.outcomes[serial] = Unknown(task.change, 1, "the run ended before the answer came")
            elif serial not in self.outcomes:
                self.outcomes[serial] = NotAttempted(task.change, self._stop.reason or "the run ended early")


def _answered(outcome: Outcome, *, late: bool) -> Outcome:
    return replace(outcome, late=True) if late and isinstance(outcome, Applied | Divergent | Accepted) else outcome

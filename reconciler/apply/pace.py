"""How fast, and how often again: pure arithmetic over a clock that is passed in."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from reconciler.apply.breaker import Breaker
from reconciler.canonical import canonical
from reconciler.model import Intent, Json, Late
from reconciler.timestamp import moment

NOTABLE = 3.0
"""Seconds: a shorter wait is part of the work, a longer one is told."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """How hard and how patiently a server is asked: the numbers of ApiSettings, by the same names."""

    rate_per_second: float
    burst: int
    attempts: int
    backoff_base: float
    backoff_ceiling: float
    retry_after_max: float
    concurrency: int
    concurrency_min: int
    retry_budget_pct: float
    retry_budget_floor: int
    breaker_failures: int
    breaker_cooldown: float
    breaker_probes: int


def backoff(attempt: int, *, base: float, ceiling: float, jitter: float) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1); `jitter` in [0, 1) picks from the full range.

    The range ends at `base` for the first attempt and doubles for each further one, up to `ceiling`.
    """
    return jitter * min(ceiling, base * 2.0 ** (attempt - 1))


def retry_after(header: str | None, *, now: float, longest: float) -> float | None:
    """Seconds that a Retry-After header asks for (delay or HTTP date, at `now` in UNIX time); None if it says nothing.

    More than `longest` is cut to it: the attempt after that will be told again.
    """
    if not header:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header), longest)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.fromtimestamp(now, UTC)).total_seconds(), 0.0), longest)


def settled_at(
    unknown: Intent | Late | None, body: Mapping[str, Json], *, now: float, timeout: float, linger: float
) -> float:
    """When a request with another body than `body` can no longer arrive after it, in UNIX seconds; 0 if there is none.

    Counted from when its run gave it up, or from `now` if that run died without saying so, or says that it will have
    given up in the future (a clock was put right since); `linger` is how long it may be on its way after its deadline.
    """
    if unknown is None or canonical(unknown.body) == canonical(body):
        return 0.0
    return (min(moment(unknown.given_up), now) if unknown.given_up else now) + timeout + linger


class Waits:
    """Tells of each notable wait once, however many workers wait, and again only if it grows by as much."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._told: dict[str, float] = {}

    def tell(self, why: str, seconds: float) -> None:
        """Somebody is about to wait for `seconds`."""
        until = self._clock() + seconds
        if seconds >= NOTABLE and until >= self._told.get(why, 0.0) + NOTABLE:
            self._told[why] = until
            self._say(f"{why}: waiting {seconds:.0f} s")


class Pace:
    """One tempo for all workers: a token bucket, pauses that the server asked for, a breaker, and a budget of retries.

    `clock` counts seconds and never goes back; `sleep` waits for seconds, and may raise to end every wait.
    """

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        budget_pct: float,
        budget_floor: int,
        breaker: Breaker,
        waits: Waits,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._interval = 1 / rate
        self._lead = (burst - 1) / rate
        self._budget_pct, self._budget_floor = budget_pct, budget_floor
        self._breaker = breaker
        self._waits = waits
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._not_before = self._next
        self._sent = self._retried = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def slot(self) -> float:
        """When the next request may leave, by the clock, if nothing else stands in its way; it is taken with that."""
        self._next = max(self._next, self._clock())
        due = self._next - self._lead
        self._next += self._interval
        return due

    async def near(self, due: float, seconds: float) -> None:
        """Wait until a slot, or the end of a pause that the server asked for, is so many seconds ahead."""
        while (wait := max(due, self._not_before) - seconds - self._clock()) > 0:
            await self._sleep(wait)

    async def turn(self, due: float | None = None) -> bool:
        """Wait for the right to send one request, in the slot `due`; whether it is a probe. `ended` must follow.

        Whoever waits for another request to end is woken for a place that is free, and passes it on if not taking it.
        """
        try:
            await self._may_start(self.slot() if due is None else due)
        except BaseException:
            self._wake()
            raise
        self._sent += 1
        return self._breaker.started()

    async def _may_start(self, due: float) -> None:
        while True:
            now = self._clock()
            wait = max(due, self._not_before) - now
            self._waits.tell("the server asks for a pause (Retry-After)", self._not_before - now)
            if wait <= 0:
                asked = self._breaker.wait()
                if asked == 0:
                    return
                if asked is None:
                    freed = asyncio.get_running_loop().create_future()
                    self._waiting.append(freed)
                    await freed
                wait = asked or 0.0
                if not self.given_up:
                    self._waits.tell("the server fails request after request; one more will try it", wait)
            await self._sleep(wait)

    def ended(self, *, probe: bool, failed: bool, overloaded: bool = False) -> None:
        """The request that a turn was for has an answer, or will have none."""
        self._breaker.ended(probe=probe, failed=failed, overloaded=overloaded)
        self._wake()

    def _wake(self) -> None:
        """As many as there are places for; all, if the circuit is open: they find out for how long."""
        room = self._breaker.room
        while self._waiting and room > 0:
            freed = self._waiting.popleft()
            if not freed.done():
                freed.set_result(None)
                room -= 1

    @property
    def given_up(self) -> bool:
        """Whether the server failed so often that the run should end."""
        return self._breaker.given_up

    def hold(self, seconds: float) -> None:
        """No worker sends anything for `seconds`: the server knows its own load."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    def may_retry(self) -> bool:
        """Take one retry from the budget: a share of the requests sent, and a floor. False if it is used up."""
        if self._retried >= self._budget_floor + self._sent * self._budget_pct / 100:
            return False
        self._retried += 1
        return True

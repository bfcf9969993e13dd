"""How fast, and how often again: pure arithmetic over a clock that is passed in."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from reconciler.apply.breaker import Breaker
from reconciler.canonical import canonical
from reconciler.model import Intent, Json
from reconciler.timestamp import moment

BASE = 0.5
"""Seconds: the ceiling of the first back-off, doubled for each further attempt."""
CEILING = 60.0
"""Seconds: the longest back-off of our own making."""
MARGIN = 5.0
"""Seconds that a request may linger on its way after its deadline."""
PATIENCE = 300.0
"""Seconds: the longest Retry-After that is obeyed within a run."""


def backoff(attempt: int, *, jitter: float) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1); `jitter` in [0, 1) picks from the full range."""
    return jitter * min(CEILING, BASE * 2.0 ** (attempt - 1))


def retry_after(header: str | None, *, now: float) -> float | None:
    """Seconds that a Retry-After header asks for (delay or HTTP date, at `now` in UNIX time); None if it says nothing.

    More than PATIENCE is cut to it: the attempt after that will be told again.
    """
    if not header:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header), PATIENCE)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.fromtimestamp(now, UTC)).total_seconds(), 0.0), PATIENCE)


def settled_at(unknown: Intent | None, body: Mapping[str, Json], *, now: float, timeout: float) -> float:
    """When a request with another body than `body` can no longer arrive after it, in UNIX seconds; 0 if there is none.

    Counted from when its run gave it up, or from `now` if that run died without saying so.
    """
    if unknown is None or canonical(unknown.body) == canonical(body):
        return 0.0
    return (moment(unknown.given_up) if unknown.given_up else now) + timeout + MARGIN


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
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._interval = 1 / rate
        self._lead = (burst - 1) / rate
        self._budget_pct, self._budget_floor = budget_pct, budget_floor
        self._breaker = breaker
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._not_before = self._next
        self._sent = self._retried = 0
        self._freed = asyncio.Event()

    async def turn(self) -> bool:
        """Wait for the right to send one request; whether it is a probe. Must be followed by `ended`."""
        self._next = max(self._next, self._clock())
        due = self._next - self._lead
        self._next += self._interval
        while True:
            wait = max(due, self._not_before) - self._clock()
            if wait <= 0:
                asked = self._breaker.wait()
                if asked == 0:
                    break
                if asked is None:
                    self._freed.clear()
                    await self._freed.wait()
                wait = asked or 0.0
            await self._sleep(wait)
        self._sent += 1
        return self._breaker.started()

    def ended(self, *, probe: bool, failed: bool, overloaded: bool = False) -> None:
        """The request that a turn was for has an answer, or will have none."""
        self._breaker.ended(probe=probe, failed=failed, overloaded=overloaded)
        self._freed.set()

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

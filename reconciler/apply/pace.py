"""How fast, and how often again: pure arithmetic over a clock that is passed in."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

BASE = 0.5
"""Seconds: the ceiling of the first back-off, doubled for each further attempt."""
CEILING = 60.0
"""Seconds: the longest back-off of our own making."""
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
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.fromtimestamp(now, UTC)).total_seconds(), 0.0), PATIENCE)


class Pace:
    """One tempo for all workers: a token bucket, pauses that the server asked for, and a budget of retries.

    `clock` counts seconds and never goes back; `sleep` waits for seconds.
    """

    def __init__(
        self, *, rate: float, burst: int, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._interval = 1 / rate
        self._lead = (burst - 1) / rate
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._not_before = self._next
        self._sent = 0
        self._retried = 0

    async def turn(self) -> None:
        """Wait for the right to send one request."""
        self._next = max(self._next, self._clock())
        due = self._next - self._lead
        self._next += self._interval
        while (wait := max(due, self._not_before) - self._clock()) > 0:
            await self._sleep(wait)
        self._sent += 1

    def hold(self, seconds: float) -> None:
        """No worker sends anything for `seconds`: the server knows its own load."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    def may_retry(self) -> bool:
        """Take one retry from the budget of 10 % of the requests sent, plus 10; False if it is used up."""
        if self._retried >= 10 + self._sent * 0.1:
            return False
        self._retried += 1
        return True

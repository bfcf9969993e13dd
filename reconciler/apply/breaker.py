"""How hard a server is pressed, by how it does: fewer requests at once when it struggles, none while it is down.

The limit of concurrent requests grows by one for as many good answers as it is high, and halves for a bad one (AIMD).
After `threshold` failures in a row, across all devices, the circuit opens: nobody sends for a cool-down, then one
request probes. A good answer closes it, a failure doubles the cool-down; after `probes` failed probes the server is
given up. Pure arithmetic over a clock that is passed in.
"""

import sys
from collections.abc import Callable


class Breaker:
    """What all workers ask before they send, and tell after. `cooldown` in seconds."""

    def __init__(
        self,
        *,
        low: int,
        high: int,
        threshold: int,
        cooldown: float,
        probes: int,
        clock: Callable[[], float],
    ) -> None:
        self._low, self._high = low, high
        self._threshold, self._cooldown, self._probes = threshold, cooldown, probes
        self._clock = clock
        self._limit = float(low)
        self._busy = 0
        self._failures = 0
        self._failed_probes = 0
        self._shut_until: float | None = None
        self._probing = False

    @property
    def limit(self) -> int:
        """How many requests may be under way."""
        return int(self._limit)

    @property
    def room(self) -> int:
        """How many more may ask to start: all, once the circuit is open, as they are told to wait or to probe."""
        return self.limit - self._busy if self._shut_until is None else sys.maxsize

    @property
    def given_up(self) -> bool:
        """Whether so many probes failed that the run should end."""
        return self._failed_probes >= self._probes

    def wait(self) -> float | None:
        """Seconds until it is worth asking again, 0 if a request may start now, None if one must end first."""
        if self._shut_until is not None:
            if self._probing:
                return None
            return max(self._shut_until - self._clock(), 0.0)
        return 0.0 if self._busy < self.limit else None

    def started(self) -> bool:
        """A request starts; True if it is a probe, which `ended` wants to know."""
        self._busy += 1
        self._probing = self._shut_until is not None
        return self._probing

    def ended(self, *, probe: bool, failed: bool, overloaded: bool = False) -> None:
        """A request ended; `failed`: with no answer or one that blames the server; `overloaded`: it says so itself."""
        self._busy -= 1
        if probe:
            self._probing = False
        if failed or overloaded:
            self._limit = max(self._low, self._limit / 2)
        if not failed:
            if not overloaded:
                self._limit = min(self._high, self._limit + 1 / self._limit)
            self._failures = self._failed_probes = 0
            self._shut_until = None
            return
        self._failures += 1
        if probe:
            self._failed_probes += 1
            self._shut_until = self._clock() + self._cooldown * 2.0**self._failed_probes
        elif self._shut_until is None and self._failures >= self._threshold:
            self._shut_until = self._clock() + self._cooldown

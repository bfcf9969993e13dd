"""Group commit: whatever waits to be recorded becomes one durable write."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from reconciler.model import IMMEDIATE, Draft, Rhythm

MOST_AHEAD = 256
"""Devices: no more intents than this wait for a slow state; after a crash, all of them may be unknown."""


def ahead(rhythm: Rhythm, rate: float) -> int:
    """How many devices wait for the state at any moment while `rate` requests a second leave.

    Each waits twice, for its intent and for its outcome: to be gathered, for half of a write under way, for its own.
    """
    wait = min(rhythm.gather, rhythm.enough / (2 * rate)) + 1.5 * rhythm.seconds
    return min(MOST_AHEAD, math.ceil(2 * rate * wait))


class Recorder:
    """Drafts in, durable entries out.

    `append` makes drafts durable, or raises and has written none; it runs in a thread, one call at a time.
    Once it has raised, nothing more is written: every later call raises the same error.

    A write waits for company as its `rhythm` says, but never if everybody who could come is waiting already.
    """

    def __init__(self, append: Callable[[Sequence[Draft]], object], rhythm: Rhythm = IMMEDIATE) -> None:
        self._append = append
        self._rhythm = rhythm
        self._waiting: list[tuple[Sequence[Draft], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._company = 0
        self._moved = asyncio.Event()
        self.failure: Exception | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """For as long as the block runs, somebody may come and write."""
        self._company += 1
        try:
            yield
        finally:
            self._company -= 1
            self._moved.set()

    async def write(self, *drafts: Draft) -> None:
        """Return once the drafts are durable, all in one write."""
        if self.failure is not None:
            raise self.failure
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((drafts, done))
        self._moved.set()
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        await done

    async def _drain(self) -> None:
        while self._waiting:
            await self._gathered()
            batch, self._waiting = self._waiting, []
            try:
                if self.failure is None:
                    await asyncio.to_thread(self._append, [draft for drafts, _ in batch for draft in drafts])
            except Exception as error:  # noqa: BLE001 - whatever it is, every waiting worker must hear of it
                self.failure = error
            for _, done in batch:
                if done.done():
                    continue
                if self.failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(self.failure)

    async def _gathered(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rhythm.gather):
                while len(self._waiting) < min(self._rhythm.enough, self._company):
                    self._moved.clear()
                    await self._moved.wait()

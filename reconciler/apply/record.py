"""Group commit: whatever waits to be recorded becomes one durable write."""

import asyncio
from collections.abc import Callable, Sequence

from reconciler.model import Draft


class Recorder:
    """Drafts in, durable entries out.

    `append` makes drafts durable, or raises and has written none; it runs in a thread, one call at a time.
    Once it has raised, nothing more is written: every later call raises the same error.
    """

    def __init__(self, append: Callable[[Sequence[Draft]], object]) -> None:
        self._append = append
        self._waiting: list[tuple[Sequence[Draft], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.failure: Exception | None = None

    async def write(self, *drafts: Draft) -> None:
        """Return once the drafts are durable, all in one write."""
        if self.failure is not None:
            raise self.failure
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((drafts, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        await done

    async def _drain(self) -> None:
        while self._waiting:
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

"""A process that runs applies which are killed: one line of JSON in, one out.

In: `{"kill": WINDOW, "nth": 3}`, or `{"after": SECONDS}`, or `{}` for an apply that nobody kills.
Out: `{"code": the exit code, or minus the signal}`. Each apply is a fork of this process: none waits for imports.
By the clock each runs LATER seconds after the one before: none waits for an earlier request that may still arrive.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reconciler import reconcile
from reconciler.apply.device_api import DeviceApi
from reconciler.config import load
from reconciler.model import Draft, EntryKind, Lease
from reconciler.state.sqlite import SqliteBackend

INTENTS = frozenset({EntryKind.INTENT})
OUTCOMES = frozenset({EntryKind.APPLIED, EntryKind.UNKNOWN, EntryKind.REJECTED, EntryKind.NOT_SENT})
LATER = 60.0
WINDOWS = (
    "before the intent is written",
    "while the intent is written",
    "after the intent is durable",
    "while the request is on its way",
    "after the response",
    "while the outcome is written",
    "after the outcome is durable",
)


def main() -> None:
    """Serve until the input ends."""
    for number, line in enumerate(sys.stdin):
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            time.time = partial(_shifted, time.time, LATER * number)
            os._exit(_apply(order))
        if "after" in order:
            time.sleep(order["after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


def _shifted(clock: Callable[[], float], seconds: float) -> float:
    return clock() + seconds


def _apply(order: dict[str, Any]) -> int:
    if "kill" in order:
        _arm(order["kill"], order["nth"])
    settings = load(Path.cwd(), os.environ)
    plan = reconcile.plan(settings)
    if not plan.changes:
        return 0
    done = reconcile.apply(settings, plan, os.environ, allowed=("max_changed_pct", "max_released_pct"), lock_timeout=60)
    return done.exit_code


def _arm(window: str, nth: int) -> None:
    """Die at the nth time that the window opens."""
    left = nth

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    arm: tuple[Callable[[], None], ...] = (
        lambda: _around("append", INTENTS, before=die),
        lambda: _around("_record", INTENTS, after=die),
        lambda: _around("append", INTENTS, after=die),
        lambda: _around_put(during=die),
        lambda: _around_put(after=die),
        lambda: _around("_record", OUTCOMES, after=die),
        lambda: _around("append", OUTCOMES, after=die),
    )
    arm[WINDOWS.index(window)]()


def _around(
    name: str,
    kinds: frozenset[EntryKind],
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """`append` is durable when it returns, `_record` is inside its transaction."""
    original = getattr(SqliteBackend, name)

    def wrapped(self: SqliteBackend, first: Lease | Any, drafts: Sequence[Draft]) -> int:  # noqa: ANN401 - a connection
        drafts = list(drafts)
        concerned = any(draft.kind in kinds for draft in drafts)
        if concerned:
            before()
        result: int = original(self, first, drafts)
        if concerned:
            after()
        return result

    setattr(SqliteBackend, name, wrapped)


def _around_put(during: Callable[[], None] | None = None, after: Callable[[], None] | None = None) -> None:
    import asyncio

    original: Callable[..., Awaitable[Any]] = DeviceApi.put

    async def put(self: DeviceApi, *arguments: object) -> Any:  # noqa: ANN401 - an answer
        sending = asyncio.ensure_future(original(self, *arguments))
        if during:
            await asyncio.sleep(0.004)
            during()
        answer = await sending
        if after:
            after()
        return answer

    DeviceApi.put = put  # type: ignore[method-assign, assignment]  # this process exists to be broken


if __name__ == "__main__":
    main()

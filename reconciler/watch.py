"""What a run is doing and how far it is: the one seam to which progress and profile both listen."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""So many more are done."""


class Watch:
    """Hears of the stages of one run, in the thread that runs them. This one lets it pass; others override.

    To be heard costs a call: where items are cheap, say it once for many.
    """

    def stage(self, name: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:  # noqa: ARG002 - for those who override
        """One stage, until its `with` ends, however it does. Stages within a stage are its parts.

        Call what it yields as things get done: `unit`s ("files", "devices"), `total` of them if that is known.
        """
        return nullcontext(lambda _: None)

    def took(self, name: str, began: float, seconds: float, pid: int) -> None:
        """What the worker process `pid` did for the present stage; `began` is its time.monotonic(), as ours."""

    def count(self, what: str, more: int = 1) -> None:
        """Something that the present stage has a number of, beside what is done: "retried", "not applied"."""


SILENT = Watch()

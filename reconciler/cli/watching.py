"""Who watches a run: progress, and a profile where one is asked for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from reconciler.cli import Globals
from reconciler.cli.progress import progress
from reconciler.watch import Advance, Watch


@contextmanager
def watching(given: Globals) -> Iterator[Watch]:
    """What a run is to be given. Its progress is shown until this ends; for the profile it may be used after that."""
    with progress(given.verbosity) as shown:
        yield Both(shown, given.profile) if given.profile else shown


class Both(Watch):
    """Two that watch one run."""

    def __init__(self, one: Watch, other: Watch) -> None:
        self._both = one, other

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """A stage for both."""
        with ExitStack() as stack:
            first, second = (stack.enter_context(watch.stage(name, total, unit)) for watch in self._both)

            def advance(more: int) -> None:
                first(more)
                second(more)

            yield advance

    def took(self, name: str, began: float, seconds: float, pid: int) -> None:
        """Both hear of it."""
        for watch in self._both:
            watch.took(name, began, seconds, pid)

    def count(self, what: str, more: int = 1) -> None:
        """Both count it."""
        for watch in self._both:
            watch.count(what, more)

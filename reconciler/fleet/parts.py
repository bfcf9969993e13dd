"""The inventory by parts: what moved is surveyed, by one process or several, and judged as a whole."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reconciler.config import Settings
from reconciler.errors import LIMITS, ReconcilerError
from reconciler.fleet.context import Context, context
from reconciler.fleet.moved import Moved, moved
from reconciler.fleet.tally import Tally
from reconciler.index import Index, opened
from reconciler.inventory.files import Folder, folders, no_files, size_of
from reconciler.model import Problem, Serial
from reconciler.watch import Watch

if TYPE_CHECKING:
    from reconciler.fleet.standpoint import Standpoint
    from reconciler.fleet.survey import Survey, Surveyor, Terms

Found = TypeVar("Found")

SURE_AFTER = 2_000_000_000
"""Nanoseconds for which a file that was touched may be touched again without a trace: what clocks of disks count by."""
A_FILE = 350
"""So many bytes more of it would take as long to parse as all else takes that is done for a file."""
HANDFUL = 250_000
"""Bytes of files that are surveyed at once, A_FILE of them for each."""
ALONE = 2_000_000
"""Such bytes up to which other processes would take longer to begin than to help: some 2,000 files."""

NO_ROOM = "nothing was changed; make room, or set TMPDIR to a folder that has some and can be written"


class Anew(Exception):
    """What the index knows is not enough: somebody has to look at everything."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which inventory is looked at, and when: `today` is the day of overrides, `now` UNIX time in ns.

    `trace` is told why every file is read, and that no index could be kept. `resend` is as for plan.diff.
    """

    settings: Settings
    today: date
    now: int
    watch: Watch
    trace: Callable[[str], None] = lambda _: None
    resend: bool = False


def beside_an_index(scope: Scope, find: Callable[["Parts"], Found]) -> Found:
    """What `find` makes of an inventory: beside the index there is, else beside a new one.

    Raises what `find` raises, but for Anew and sqlite3.Error, and ReconcilerError where temporary files cannot be used.
    """
    place = _place(scope.settings)
    for anew, where in ((False, place), (True, place), (True, None)):
        try:
            with ExitStack() as stack:
                return find(Parts(scope, where, stack, anew=anew))
        except (Anew, sqlite3.Error) as error:
            scope.trace(f"index: {error}; every file is read")
        except (ArithmeticError, LookupError, TypeError, ValueError):  # what no plan writes into an index was there
            if anew:
                raise
            scope.trace("index: it is damaged; every file is read")
        except OSError as error:
            raise _failed(error) from error
    raise ReconcilerError(f"temporary files cannot be used; {NO_ROOM}")


def _failed(error: OSError) -> ReconcilerError:
    said = error.strerror or error
    if error.errno in LIMITS:
        return ReconcilerError(
            f"the system gives no more of what this needs: {said}; nothing was changed; raise the limit (ulimit), or"
            " use fewer processes (the setting `processes`)"
        )
    return ReconcilerError(f"{error.filename or 'temporary files'}: {said}; {NO_ROOM}")


def _place(settings: Settings) -> Path | None:
    if settings.cache is None:
        return None
    about = f"{settings.root}\0{settings.inventory}\0{settings.state}"
    return settings.cache / f"{sha256(about.encode(errors='surrogateescape')).hexdigest()[:32]}.db"


class Parts:
    """The files of an inventory as they are listed now, beside an index; `tally` gathers what they come to.

    `stack` ends with the run. Raises sqlite3.Error where the index is no help.
    """

    def __init__(self, scope: Scope, where: Path | None, stack: ExitStack, *, anew: bool) -> None:
        self.scope, self.stack, self.tally = scope, stack, Tally()
        with scope.watch.stage("list"):
            self._listing, self.layers = self._listed()
        self.index: Index = stack.enter_context(opened(where, self.layers.everywhere, anew=anew))
        if self.index.why:
            scope.trace(f"index: {self.index.why}; every file is read")
        self._facts = self.index.facts().keys()
        self._same = self.index.meta().get("quiet") == "yes"

    @property
    def files(self) -> int:
        """How many files declare devices, or should."""
        return sum(len(folder.files) for folder in self._listing)

    def moved(self) -> Moved:
        """What has to be read, and what is gone."""
        with self.scope.watch.stage("compare"):
            return moved(self.index, self.scope.settings.root, self._listing, self.layers, self.scope.today.isoformat())

    def look(self, todo: Moved, state: "Standpoint | None") -> set[Serial]:
        """Survey what is to be read, beside the state if there is one; the devices that the index has heard of before.

        Raises Anew if what a layer says was witnessed by a file that does not do so any more.
        """
        self._same = self._same and not (todo.read or todo.gone)
        known = self.index.drop([*todo.gone, *todo.read])
        with self.scope.watch.stage("read", len(todo.read), "files") as advance:
            for survey, files in self._surveys(todo, state):
                self.tally.add(survey)
                self.index.put((*todo.read[file.path], file) for file in survey.files)
                self.index.put_facts(survey.facts)
                advance(files)
        self.index.complete()
        if self._facts - self.index.facts().keys():
            raise Anew("what a layer says holds for other devices now")
        return known

    @property
    def same(self) -> bool:
        """Whether all is as the last plan left it, and that had nothing to tell: then there is nothing to judge."""
        return self._same and not self.tally.problems

    def surveyor(self, state: "Standpoint | None") -> "Surveyor":
        """One that looks once more at how devices stand, if there is a state."""
        from reconciler.fleet.survey import Surveyor

        return Surveyor(self._terms(), state.settled if state else None)

    def judged(self, surveyor: "Surveyor") -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
        """The problems and the warnings of all files; the index learns whether there are any that no file brings."""
        from reconciler.desired import told

        tally, layers = self.tally, surveyor.survey
        surveyor.layering.witnesses.update(self.index.facts())
        whole = not (tally.problems or layers.problems)
        afterwards = list(surveyor.layering.afterwards(surveyor.rules.known)) if whole else []
        conflicts = self.index.conflicts()
        across = surveyor.across(conflicts, lambda: set(self.index.serials())) if conflicts else None
        tally.note(layers)
        self.index.put_meta({"quiet": "no" if layers.resolved or afterwards or layers.invalid else "yes"})
        return told(
            [
                *layers.resolved,
                *(across.resolved if across else ()),  # before those who saw but some of the files
                *tally.resolved,
                *afterwards,
                *tally.invalid,
                *(across.invalid if across else ()),
                *layers.invalid,
            ],
            tally.problems,
            damaged=tally.damaged,
            paths=tally.paths | layers.paths | (across.paths if across else {}),
            shows_text=surveyor.shows_text,
        )

    def _listed(self) -> tuple[list[Folder], Context]:
        settings = self.scope.settings
        found = list(folders(settings.root, settings.inventory, self.scope.now - SURE_AFTER))
        listing = [item for item in found if isinstance(item, Folder)]
        layers = context(settings, self.scope.today, [folder.path for folder in listing])
        problems = [item for item in found if isinstance(item, Problem)]
        problems += [] if found else [no_files(settings.root, settings.inventory)]
        self.tally.problems += problems
        self.tally.problems += (problem for problem in layers.problems if problem not in problems)
        return listing, layers

    def _surveys(self, todo: Moved, state: "Standpoint | None") -> Iterator[tuple["Survey", int]]:
        """The surveys of files, and of how many each is: by this process, or by several if there is much to read."""
        handfuls = list(_handfuls(todo))
        if not handfuls:
            return
        from reconciler.fleet.survey import Surveyor

        surveyor = Surveyor(self._terms(), state.held if state else None)  # raises here what would end all processes
        if sum(size for _, size in handfuls) > ALONE:
            from reconciler.fleet.pool import processes, surveys

            if processes(self.scope.settings.processes) > 1:
                done = surveys(self._terms(), state.copy if state else None, [files for files, _ in handfuls])
                for (files, _), (survey, began, seconds, pid) in zip(handfuls, done, strict=True):
                    self.scope.watch.took("survey", began, seconds, pid)
                    yield survey, len(files)
                return
        for files, _ in handfuls:
            yield surveyor.look(files), len(files)

    def _terms(self) -> "Terms":
        from reconciler.fleet.survey import Terms

        scope, layers = self.scope, self.layers
        return Terms(scope.settings, scope.today, layers.defaults, layers.groups, layers.sums, scope.resend)


def _handfuls(todo: Moved) -> Iterator[tuple[list[str], int]]:
    """The files in their order, some at a time, and how many bytes they count for."""
    files: list[str] = []
    size = 0
    for path in sorted(todo.read):
        files.append(path)
        size += size_of(path, todo.read[path][1]) + A_FILE
        if size >= HANDFUL:
            yield files, size
            files, size = [], 0
    if files:
        yield files, size

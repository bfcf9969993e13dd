"""Inventory x state -> what a plan does, at the cost of what moved: read, resolve, validate and diff by parts."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.config import Settings
from reconciler.errors import LIMITS, InventoryError, ReconcilerError
from reconciler.fleet.context import Context, context
from reconciler.fleet.moved import Moved, moved
from reconciler.fleet.standpoint import Anew, Standpoint
from reconciler.fleet.tally import Tally
from reconciler.index import Index, opened
from reconciler.inventory.files import Folder, folders, no_files, size_of
from reconciler.model import Change, DeviceState, Lease, Problem, Serial, Standing
from reconciler.state.backend import Backend, Head
from reconciler.watch import Watch

if TYPE_CHECKING:
    from reconciler.fleet.survey import Held, Survey, Surveyor, Terms

SURE_AFTER = 2_000_000_000
"""Nanoseconds for which a file that was touched may be touched again without a trace: what clocks of disks count by."""
A_FILE = 350
"""So many bytes more of it would take as long to parse as all else takes that is done for a file."""
HANDFUL = 250_000
"""Bytes of files that are surveyed at once, A_FILE of them for each."""
ALONE = 2_000_000
"""Such bytes up to which other processes would take longer to begin than to help: some 2,000 files."""

NO_ROOM = "nothing was changed; make room, or set TMPDIR to a folder that has some and can be written"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a sweep is about. `now` is UNIX time in ns; `check` looks at the state before all else, and may raise.

    `trace` is told why every file is read, and that no index could be kept.
    """

    settings: Settings
    backend: Backend
    today: date
    now: int
    resend: bool
    check: Callable[[Head], None]
    watch: Watch
    trace: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a plan needs to know; the sequences are in serial order.

    `known` are those devices of the state that a plan does something about, of `total` in all. `lease` tells who may
    write to it.
    """

    head: Head
    lease: Lease | None
    known: Mapping[Serial, DeviceState]
    total: int
    changes: Sequence[Change]
    observed: Sequence[Change]
    standing: tuple[Standing, ...]
    paused: tuple[Serial, ...]
    unchanged: int
    digest: str
    warnings: tuple[Problem, ...]


def sweep(run: Inquiry) -> Swept:
    """What brings the state to what is desired. The law: with an index or without, it is the same.

    Raises InventoryError with every problem of every file, StateError and ConfigError.
    """
    place = _place(run.settings)
    for anew, where in ((False, place), (True, place), (True, None)):
        try:
            with ExitStack() as stack:
                return _Sweep(run, stack).swept(where, anew=anew)
        except (Anew, sqlite3.Error) as error:
            run.trace(f"index: {error}; every file is read")
        except (ArithmeticError, LookupError, TypeError, ValueError):  # what no plan writes into an index was there
            if anew:
                raise
            run.trace("index: it is damaged; every file is read")
        except OSError as error:
            raise _failed(error) from error
    raise ReconcilerError(f"temporary files cannot be used; {NO_ROOM}")


def _failed(error: OSError) -> ReconcilerError:
    said = error.strerror or error
    if error.errno in LIMITS:
        return ReconcilerError(
            f"the system gives no more of what a plan needs: {said}; nothing was changed; raise the limit (ulimit), or"
            " use fewer processes (the setting `processes`)"
        )
    return ReconcilerError(f"{error.filename or 'temporary files'}: {said}; {NO_ROOM}")


def _place(settings: Settings) -> Path | None:
    if settings.cache is None:
        return None
    about = f"{settings.root}\0{settings.inventory}\0{settings.state}"
    return settings.cache / f"{sha256(about.encode(errors='surrogateescape')).hexdigest()[:32]}.db"


class _Sweep:
    def __init__(self, run: Inquiry, stack: ExitStack) -> None:
        self._run, self._stack = run, stack
        self._settings, self._watch = run.settings, run.watch
        self._tally = Tally()

    def swept(self, place: Path | None, *, anew: bool) -> Swept:
        """One run from the listing to the end. Raises Anew or sqlite3.Error where the index is no help."""
        today = self._run.today.isoformat()
        with self._watch.stage("list"):
            listing, layers = self._listing()
        index = self._stack.enter_context(opened(place, layers.everywhere, anew=anew))
        if index.why:
            self._run.trace(f"index: {index.why}; every file is read")
        before, facts = index.meta(), index.facts()
        with self._watch.stage("state"):
            self._state = Standpoint(self._run.backend, index, self._run.check, self._stack)
        with self._watch.stage("compare"):
            todo = moved(index, self._settings.root, listing, layers, today)
            self._state.extra |= index.drop(todo.gone)
        any_read = self._look(index, layers, todo)
        if facts.keys() - index.facts().keys():
            raise Anew("what a layer says holds for other devices now")
        gone, swaps = self._state.gone(index), index.swaps()
        warnings: tuple[Problem, ...] = ()
        if any_read or todo.gone or gone or self._tally.problems or before.get("quiet") != "yes":
            with self._watch.stage("check"):
                surveyor = self._surveyor(layers, self._state.settled)
                warnings, quiet = self._judged(surveyor, index)
                rest = surveyor.swapped(set(swaps.values()), gone)
            self._tally.compared(rest)
            if self._tally.irremovable:
                from reconciler.conformance import refuse_removals

                refuse_removals(self._settings, self._tally.irremovable)
            index.put_meta({"quiet": "yes" if quiet else "no"})
        changes, observed = self._tally.changes, self._tally.observed
        moving = len(changes) + len(observed) - sum(serial in gone for serial in (*changes.serials, *observed.serials))
        unchanged = index.count() - len(self._tally.paused) - moving
        index.put_extra(gone)
        index.put_meta(self._state.meta())
        if not self._tally.shifted and (error := index.keep()):
            self._run.trace(f"index: it cannot be kept: {error}")
        with self._watch.stage("sort"):
            settled = changes.settled()
            return Swept(
                self._state.look.head,
                self._state.look.lease,
                self._state.known([*changes.known, *observed.known]),
                self._state.look.count,
                settled,
                observed.settled(),
                tuple(self._tally.told()),
                tuple(sorted(self._tally.paused)),
                unchanged,
                changes.digest(),
                warnings,
            )

    def _listing(self) -> tuple[list[Folder], Context]:
        root, inventory = self._settings.root, self._settings.inventory
        found = list(folders(root, inventory, self._run.now - SURE_AFTER))
        listing = [item for item in found if isinstance(item, Folder)]
        layers = context(self._settings, self._run.today, [folder.path for folder in listing])
        problems = [item for item in found if isinstance(item, Problem)]
        problems += [] if found else [no_files(root, inventory)]
        self._tally.problems += problems
        self._tally.problems += (problem for problem in layers.problems if problem not in problems)
        return listing, layers

    def _look(self, index: Index, layers: Context, todo: Moved) -> bool:
        """Survey what is to be read, and once more whatever was applied meanwhile. Whether anything was."""
        any_read = False
        while True:
            any_read |= bool(todo.read)
            self._state.extra |= index.drop(todo.read)
            with self._watch.stage("read", len(todo.read), "files") as advance:
                for survey, files in self._surveys(layers, todo):
                    self._tally.add(survey)
                    index.put((*todo.read[file.path], file) for file in survey.files)
                    index.put_facts(survey.facts)
                    advance(files)
            index.complete()
            asked = chain(self._tally.changes.known, self._tally.observed.known, index.swaps())
            touched = self._state.moved_on(index, asked)
            if not touched:
                return any_read
            again = {known[1] for serial in touched if (known := index.known(serial))}
            todo = Moved(index.where(again))
            self._tally.without(index.inside(again))

    def _surveys(self, layers: Context, todo: Moved) -> Iterator[tuple["Survey", int]]:
        """The surveys of files, and of how many each is: by this process, or by several if there is much to read."""
        handfuls = list(_handfuls(todo))
        if not handfuls:
            return
        if sum(size for _, size in handfuls) > ALONE:
            from reconciler.fleet.pool import processes, surveys

            if processes(self._settings.processes) > 1:
                self._surveyor(layers, self._state.held)  # raises here what would end all of them
                done = surveys(self._terms(layers), self._state.copy, [files for files, _ in handfuls])
                for (files, _), (survey, began, seconds, pid) in zip(handfuls, done, strict=True):
                    self._watch.took("survey", began, seconds, pid)
                    yield survey, len(files)
                return
        surveyor = self._surveyor(layers, self._state.held)
        for files, _ in handfuls:
            yield surveyor.look(files), len(files)

    def _terms(self, layers: Context) -> "Terms":
        from reconciler.fleet.survey import Terms

        return Terms(self._settings, self._run.today, layers.defaults, layers.groups, layers.sums, self._run.resend)

    def _surveyor(self, layers: Context, held: "Held") -> "Surveyor":
        from reconciler.fleet.survey import Surveyor

        return Surveyor(self._terms(layers), held)

    def _judged(self, surveyor: "Surveyor", index: Index) -> tuple[tuple[Problem, ...], bool]:
        """The warnings of all files, and whether there would be none without reading any. Raises InventoryError."""
        from reconciler.desired import told

        tally, layers = self._tally, surveyor.survey
        surveyor.layering.witnesses.update(index.facts())
        whole = not (tally.problems or layers.problems)
        afterwards = list(surveyor.layering.afterwards(surveyor.rules.known)) if whole else []
        conflicts = index.conflicts()
        across = surveyor.across(conflicts, lambda: set(index.serials())) if conflicts else None
        tally.note(layers)
        problems, warnings = told(
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
        if problems:
            raise InventoryError(problems)
        return warnings, not (layers.resolved or afterwards or layers.invalid)


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

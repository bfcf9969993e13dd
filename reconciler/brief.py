"""Changes in brief: of a hundred thousand, nearly nobody wants more than what is done to whom, and where it is said.

Values are made where somebody looks, and of changes that wait on disk only those of the device that is looked at.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias, overload

from reconciler.model import Action, Change, FieldChange, Serial, Source, Value

Spot: TypeAlias = tuple[str, int, int] | None
"""File, line and column of a Source."""


class Columns(NamedTuple):
    """What FieldChange says, each fact of all fields together; the paths stand beside it."""

    before: Sequence[Value]
    after: Sequence[Value]
    spots: Sequence[Spot]
    sensitive: Sequence[bool]
    own: Sequence[bool]


class Fields(Sequence[FieldChange]):
    """Fields whose `paths` are at hand, and whose `columns` are read whenever somebody looks."""

    __slots__ = ("columns", "paths")

    def __init__(self, paths: tuple[str, ...], columns: Callable[[], Columns]) -> None:
        self.paths, self.columns = paths, columns

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[FieldChange]:
        for path, before, after, place, sensitive, own in zip(self.paths, *self.columns(), strict=True):
            yield FieldChange(path, before, after, Source(*place) if place else None, sensitive, own)

    @overload
    def __getitem__(self, index: int) -> FieldChange: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FieldChange]: ...
    def __getitem__(self, index: int | slice) -> FieldChange | Sequence[FieldChange]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def paths(changed: Sequence[FieldChange]) -> tuple[str, ...]:
    """The paths of fields."""
    return changed.paths if isinstance(changed, Fields) else tuple(field.path for field in changed)


def columns(changed: Sequence[FieldChange]) -> tuple[tuple[str, ...], Columns]:
    """The paths of fields, and all else about them."""
    if isinstance(changed, Fields):
        return changed.paths, changed.columns()
    return paths(changed), Columns(
        [field.before for field in changed],
        [field.after for field in changed],
        [spot(field.source) for field in changed],
        [field.sensitive for field in changed],
        [field.own for field in changed],
    )


def spot(source: Source | None) -> Spot:
    """A source without its type."""
    return (source.file, source.line, source.column) if source else None


class Outline(NamedTuple):
    """What is done to whom, the file that declares the device, or "", and the paths of the fields that change."""

    serial: Serial
    action: Action
    file: str
    paths: tuple[str, ...]


class Waiting(Sequence[Change]):
    """Changes that wait on disk; what most who look at them want to know is at hand."""

    serials: Sequence[Serial]

    @property
    @abstractmethod
    def actions(self) -> Iterable[Action]:
        """What is done to each device."""

    @property
    @abstractmethod
    def outlines(self) -> Iterable[Outline]:
        """Each change in outline."""

    @abstractmethod
    def shared(self, at: int) -> Iterable[FieldChange]:
        """Those of the fields changed there that a line of a file may say for other devices, too."""


def actions(changes: Sequence[Change]) -> Iterable[Action]:
    """What is done to each device."""
    return changes.actions if isinstance(changes, Waiting) else (change.action for change in changes)


def serials(changes: Sequence[Change]) -> Sequence[Serial]:
    """Which devices are changed."""
    return changes.serials if isinstance(changes, Waiting) else [change.serial for change in changes]


def outlines(changes: Sequence[Change]) -> Iterable[Outline]:
    """Each change in outline."""
    return changes.outlines if isinstance(changes, Waiting) else map(_outline, changes)


def _outline(change: Change) -> Outline:
    return Outline(change.serial, change.action, change.source.file if change.source else "", paths(change.fields))


def shared(changes: Sequence[Change]) -> Callable[[int], Iterable[FieldChange]]:
    """Tells which of the fields of a change a line of a file may say for other devices, too."""
    if isinstance(changes, Waiting):
        return changes.shared
    return lambda at: (field for field in changes[at].fields if field.source and not field.own)

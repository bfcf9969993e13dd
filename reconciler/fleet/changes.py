"""Changes as what everybody asks and bytes for the rest: so processes hand them on, and so they wait on disk.

The bytes are written and read by this very program in one run, never kept: in Python's own spelling, which costs least.
"""

import marshal
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import accumulate, chain
from typing import Any, TypeAlias, overload

from reconciler.brief import Columns, Fields, Outline, Waiting, columns, spot
from reconciler.interrupt import uninterrupted
from reconciler.model import ABSENT, Action, Change, FieldChange, Serial, Source, Value
from reconciler.plan.plan_file import digest_of, digested

FEW = 4000
"""So many changes are a tuple."""

Packed: TypeAlias = tuple[Serial, int, str, tuple[str, ...], tuple[bytes, bytes, bytes, bytes]]
"""A change: its serial, the number of its action, its file and paths, and bytes in parts, of which most need one."""
_HEAD, _SHARED, _FIELDS, _ROWS = range(4)
"""The parts: what it is judged by, the fields that it shares, all its fields, and what it contributes to the digest."""
_BOUNDS = 5
"""Where each part begins, and where the last one ends."""


def packed(change: Change) -> Packed:
    """What of a change is kept."""
    paths, found = columns(change.fields)
    ends = change.before, change.after, change.unknown
    swap = change.replaces, change.kept, change.waits_for, change.forgets
    head = marshal.dumps((*ends, spot(change.source), *swap))
    told: Any = (_told(found.before), _told(found.after), *map(tuple, found[2:]))
    rows = [row for row in zip(paths, *told, strict=True) if row[3] and not row[5]]
    shared, body = marshal.dumps(rows), marshal.dumps(told)
    rest = digested(change).encode("utf-8", "surrogatepass")
    file = change.source.file if change.source else ""
    return change.serial, _ACTIONS.index(change.action), file, paths, (head, shared, body, rest)


def _told(values: Sequence[Value]) -> Any:  # noqa: ANN401 - what marshal takes
    return tuple([... if value is ABSENT else value for value in values])


def _value(value: Any) -> Value:  # noqa: ANN401 - what marshal gives
    return ABSENT if value is ... else value


@lru_cache(maxsize=100)
def _shared(part: bytes) -> Sequence[FieldChange]:
    """Of many devices the same, which is what makes it worth telling."""
    rows = marshal.loads(part)  # noqa: S302 - our own, of this run
    return tuple(FieldChange(row[0], _value(row[1]), _value(row[2]), Source(*row[3]), *row[4:]) for row in rows)


_ACTIONS = tuple(Action)


class Changes(Waiting):
    """Changes in serial order, once they are settled, each made anew when it is looked at.

    In memory are only whom they are about, their outlines, and where each begins.
    """

    def __init__(self) -> None:
        with uninterrupted():
            self._file, name = tempfile.mkstemp(prefix="reconciler-")
            os.unlink(name)  # noqa: PTH108 - the file goes with its descriptor
        weakref.finalize(self, os.close, self._file)
        self.serials: list[Serial] = []
        self._kind = array("B")
        self._bounds = array("Q")
        self._files: list[str] = []
        self._paths: list[tuple[str, ...]] = []
        self._alike: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._end = 0

    @property
    def actions(self) -> Iterator[Action]:
        """What is done to each device."""
        return (_ACTIONS[kind] for kind in self._kind)

    @property
    def known(self) -> list[Serial]:
        """The devices among them that the state has."""
        new = {_ACTIONS.index(action) for action in (Action.ADOPT, Action.REPLACE)}
        return [serial for serial, kind in zip(self.serials, self._kind, strict=True) if kind not in new]

    @property
    def outlines(self) -> Iterator[Outline]:
        """Each change in outline."""
        return map(Outline, self.serials, self.actions, self._files, self._paths)

    def shared(self, at: int) -> Sequence[FieldChange]:
        """Those of the fields changed there that a line of a file may say for other devices, too."""
        return _shared(self._part(at, _SHARED))

    def add(self, records: Iterable[Packed]) -> None:
        """Take more changes, in any order. A device that has one already gets another."""
        content: list[bytes] = []
        for serial, kind, file, paths, parts in records:
            self.serials.append(serial)
            self._kind.append(kind)
            self._files.append(file)
            self._paths.append(self._alike.setdefault(paths, paths))
            self._bounds.extend(accumulate(map(len, parts), initial=self._end))
            self._end = self._bounds[-1]
            content += parts
        rest = memoryview(b"".join(content))
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def without(self, serials: Iterable[Serial]) -> None:
        """Forget the changes of these devices."""
        gone = set(serials)
        kept = [index for index, serial in enumerate(self.serials) if serial not in gone]
        if len(kept) < len(self.serials):
            self._select(kept)

    def settled(self) -> Sequence[Change]:
        """These changes, in serial order."""
        self._select(sorted(range(len(self)), key=self.serials.__getitem__))
        return self if len(self) > FEW else tuple(replace(change, fields=tuple(change.fields)) for change in self)

    def digest(self) -> str:
        """As plan_file.digest, once settled."""
        return digest_of(self._part(index, _ROWS) for index in range(len(self)))

    def _select(self, indexes: Sequence[int]) -> None:
        self.serials = [self.serials[index] for index in indexes]
        self._files = [self._files[index] for index in indexes]
        self._paths = [self._paths[index] for index in indexes]
        self._kind = array("B", (self._kind[index] for index in indexes))
        bounds = (self._bounds[_BOUNDS * index : _BOUNDS * (index + 1)] for index in indexes)
        self._bounds = array("Q", chain.from_iterable(bounds))

    def _part(self, index: int, part: int) -> bytes:
        begin, end = self._bounds[_BOUNDS * index + part], self._bounds[_BOUNDS * index + part + 1]
        return os.pread(self._file, end - begin, begin)

    def _columns(self, index: int) -> Columns:
        before, after, *others = marshal.loads(self._part(index, _FIELDS))  # noqa: S302 - our own, of this run
        return Columns([*map(_value, before)], [*map(_value, after)], *others)

    def _made(self, index: int) -> Change:
        head = marshal.loads(self._part(index, _HEAD))  # noqa: S302 - our own, of this run
        before, after, unknown, place, replaces, kept, waits_for, forgets = head
        return Change(
            self.serials[index],
            _ACTIONS[self._kind[index]],
            Fields(self._paths[index], partial(self._columns, index)),
            before,
            after,
            unknown,
            Source(*place) if place else None,
            replaces,
            kept=kept,
            waits_for=waits_for,
            forgets=forgets,
        )

    def __len__(self) -> int:
        return len(self.serials)

    def __iter__(self) -> Iterator[Change]:
        return map(self._made, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...
    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        at = range(len(self))[index]
        return self._made(at) if isinstance(at, int) else tuple(map(self._made, at))

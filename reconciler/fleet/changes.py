"""Changes as bytes: what processes hand to each other, and what waits on disk for its turn.

Written and read by this very program in one run, never kept: so in Python's own spelling, which costs least.
"""

import marshal
import os
import struct
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import overload

from reconciler.model import ABSENT, Action, Change, FieldChange, Serial, Source
from reconciler.plan.plan_file import digest_of, digested

FEW = 4000
"""So many changes are a tuple."""


def packed(change: Change) -> bytes:
    """A change as what it takes to count and to judge it, its values, and its part of the digest.

    In that order, with the sizes of the first two before: most who look at many changes need no value.
    """
    values = tuple(
        (
            ... if field.before is ABSENT else field.before,
            ... if field.after is ABSENT else field.after,
            (field.source.file, field.source.line, field.source.column) if field.source else None,
            field.sensitive,
            field.own,
        )
        for field in change.fields
    )
    source = (change.source.file, change.source.line, change.source.column) if change.source else None
    ends, swap = (change.before, change.after, change.unknown), (change.replaces, change.kept, change.waits_for)
    paths = tuple(field.path for field in change.fields)
    head = marshal.dumps((change.serial, change.action.value, paths, ends, source, swap))
    body = marshal.dumps(values)
    kind = _ACTIONS.index(change.action)
    return _SIZES.pack(kind, len(head), len(body)) + head + body + digested(change).encode("utf-8", "surrogatepass")


_ACTIONS = tuple(Action)
_SIZES = struct.Struct("=BII")


class _Fields(Sequence[FieldChange]):
    """The fields of a change, read anew whenever somebody looks. Their `paths` are at hand."""

    __slots__ = ("_read", "paths")

    def __init__(self, paths: tuple[str, ...], read: Callable[[], bytes]) -> None:
        self.paths, self._read = paths, read

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[FieldChange]:
        return self._made(only_shared=False)

    def shared(self) -> Iterator[FieldChange]:
        """Those that may be said for other devices, too."""
        return self._made(only_shared=True)

    def _made(self, *, only_shared: bool) -> Iterator[FieldChange]:
        values = marshal.loads(self._read())  # noqa: S302 - our own, of this run
        for path, (old, new, place, sensitive, own) in zip(self.paths, values, strict=True):
            if only_shared and (own or not place):
                continue
            before, after = ABSENT if old is ... else old, ABSENT if new is ... else new
            yield FieldChange(path, before, after, Source(*place) if place else None, sensitive, own)

    @overload
    def __getitem__(self, index: int) -> FieldChange: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FieldChange]: ...
    def __getitem__(self, index: int | slice) -> FieldChange | Sequence[FieldChange]:
        return tuple(self)[index]


class Changes(Sequence[Change]):
    """Changes in serial order, each made anew when it is looked at; all that stays in memory is where each begins.

    `serials` are theirs, and `actions` too.
    """

    def __init__(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="reconciler-")
        os.unlink(name)  # noqa: PTH108 - the file goes with its descriptor
        weakref.finalize(self, os.close, self._file)
        self.serials: list[Serial] = []
        self._kind, self._begin = array("B"), array("Q")
        self._head, self._body, self._size = array("L"), array("L"), array("L")
        self._end = 0

    @property
    def actions(self) -> Iterator[Action]:
        """What is done to each device."""
        return (_ACTIONS[kind] for kind in self._kind)

    @property
    def known(self) -> list[Serial]:
        """The devices among them that the state has."""
        adopted = _ACTIONS.index(Action.ADOPT)
        return [serial for serial, kind in zip(self.serials, self._kind, strict=True) if kind != adopted]

    def add(self, records: Iterable[tuple[Serial, bytes]]) -> None:
        """Take more changes, in any order. A device that has one already gets another."""
        content = bytearray()
        for serial, record in records:
            kind, head, body = _SIZES.unpack_from(record)
            self.serials.append(serial)
            self._kind.append(kind)
            self._begin.append(self._end + len(content))
            self._head.append(head)
            self._body.append(body)
            self._size.append(len(record))
            content += record
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._end += len(content)

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
        """As plan_file.digest."""
        return digest_of(self._rows(index).decode("utf-8", "surrogatepass") for index in range(len(self)))

    def _select(self, indexes: Sequence[int]) -> None:
        self.serials = [self.serials[index] for index in indexes]
        self._begin = array("Q", (self._begin[index] for index in indexes))
        self._kind = array("B", (self._kind[index] for index in indexes))
        self._head, self._body, self._size = (
            array("L", (sizes[index] for index in indexes)) for sizes in (self._head, self._body, self._size)
        )

    def _values(self, index: int) -> bytes:
        return os.pread(self._file, self._body[index], self._begin[index] + _SIZES.size + self._head[index])

    def _rows(self, index: int) -> bytes:
        before = _SIZES.size + self._head[index] + self._body[index]
        return os.pread(self._file, self._size[index] - before, self._begin[index] + before)

    def _made(self, index: int) -> Change:
        head = os.pread(self._file, self._head[index], self._begin[index] + _SIZES.size)
        serial, action, paths, ends, source, (replaces, kept, waits_for) = marshal.loads(head)  # noqa: S302 - our own
        before, after, unknown = ends
        return Change(
            serial,
            Action(action),
            _Fields(paths, partial(self._values, index)),
            before,
            after,
            unknown,
            Source(*source) if source else None,
            replaces,
            kept=kept,
            waits_for=waits_for,
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

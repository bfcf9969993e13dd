"""Changes as bytes: what processes hand to each other, and what waits on disk for its turn.

Written and read by this very program in one run, never kept: so in Python's own spelling, which costs least.
"""

import marshal
import os
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
_ADOPT, _OTHER = b"+", b"~"


def packed(change: Change) -> bytes:
    """A change with its part of the digest: a head with the size of it before, and a body.

    What is needed to count and to judge is in the head; the fields, which take most of the time, are not.
    """
    body = tuple(
        (
            field.path,
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
    head = marshal.dumps((change.serial, change.action.value, len(body), ends, source, swap))
    kind = _ADOPT if change.action is Action.ADOPT else _OTHER
    return kind + len(head).to_bytes(4, "big") + head + marshal.dumps((body, digested(change)))


_BEGIN = 5
"""Bytes before the head."""


class _Fields(Sequence[FieldChange]):
    """The fields of a change, read anew whenever somebody looks."""

    __slots__ = ("_count", "_read")

    def __init__(self, count: int, read: Callable[[], bytes]) -> None:
        self._count, self._read = count, read

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FieldChange]:
        for path, old, new, place, sensitive, own in marshal.loads(self._read())[0]:  # noqa: S302 - our own, of this run
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

    `serials` are theirs; `known` those of devices that the state has, some perhaps more than once.
    """

    def __init__(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="reconciler-")
        os.unlink(name)  # noqa: PTH108 - the file goes with its descriptor
        weakref.finalize(self, os.close, self._file)
        self.serials: list[Serial] = []
        self.known: list[Serial] = []
        self._begin, self._size, self._head = array("Q"), array("L"), array("L")
        self._end = 0

    def add(self, records: Iterable[tuple[Serial, bytes]]) -> None:
        """Take more changes, in any order. A device that has one already gets another."""
        content = bytearray()
        for serial, record in records:
            self.serials.append(serial)
            if record[:1] != _ADOPT:
                self.known.append(serial)
            self._begin.append(self._end + len(content))
            self._size.append(len(record))
            self._head.append(int.from_bytes(record[1:_BEGIN], "big"))
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
        return digest_of(marshal.loads(self._body(index))[1] for index in range(len(self)))  # noqa: S302 - our own

    def _select(self, indexes: Sequence[int]) -> None:
        self.serials = [self.serials[index] for index in indexes]
        self._begin = array("Q", (self._begin[index] for index in indexes))
        self._size = array("L", (self._size[index] for index in indexes))
        self._head = array("L", (self._head[index] for index in indexes))

    def _body(self, index: int) -> bytes:
        before = _BEGIN + self._head[index]
        return os.pread(self._file, self._size[index] - before, self._begin[index] + before)

    def _made(self, index: int) -> Change:
        head = os.pread(self._file, self._head[index], self._begin[index] + _BEGIN)
        serial, action, count, ends, source, (replaces, kept, waits_for) = marshal.loads(head)  # noqa: S302 - our own
        before, after, unknown = ends
        return Change(
            serial,
            Action(action),
            _Fields(count, partial(self._body, index)),
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

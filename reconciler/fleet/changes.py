"""Changes as bytes: what processes hand to each other, and what waits on disk for its turn.

Written and read by this very program in one run, never kept: so in Python's own spelling, which costs least.
"""

import marshal
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from reconciler.model import ABSENT, Action, Change, FieldChange, Serial, Source
from reconciler.plan.plan_file import digest_of, digested

FEW = 4000
"""So many changes are a tuple."""
_ADOPT, _OTHER = b"+", b"~"


def packed(change: Change) -> bytes:
    """A change with its part of the digest; `unpacked` is the inverse."""
    fields = tuple(
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
    ends, swap = (change.before, change.after), (change.replaces, change.kept, change.waits_for)
    kind = _ADOPT if change.action is Action.ADOPT else _OTHER
    return kind + marshal.dumps(
        (digested(change), change.serial, change.action.value, fields, ends, change.unknown, source, swap)
    )


def unpacked(record: bytes) -> Change:
    """The change in a record of `packed`."""
    _, serial, action, fields, (before, after), unknown, source, (replaces, kept, waits_for) = marshal.loads(record[1:])  # noqa: S302 - our own, of this run
    return Change(
        serial,
        Action(action),
        tuple(
            FieldChange(
                path,
                ABSENT if old is ... else old,
                ABSENT if new is ... else new,
                Source(*place) if place else None,
                sensitive,
                own,
            )
            for path, old, new, place, sensitive, own in fields
        ),
        before,
        after,
        unknown,
        Source(*source) if source else None,
        replaces,
        kept=kept,
        waits_for=waits_for,
    )


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
        self._begin, self._size = array("Q"), array("L")
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
        return self if len(self) > FEW else tuple(self)

    def digest(self) -> str:
        """As plan_file.digest."""
        return digest_of(marshal.loads(self._record(index)[1:])[0] for index in range(len(self)))  # noqa: S302 - our own

    def _select(self, indexes: Sequence[int]) -> None:
        self.serials = [self.serials[index] for index in indexes]
        self._begin = array("Q", (self._begin[index] for index in indexes))
        self._size = array("L", (self._size[index] for index in indexes))

    def _record(self, index: int) -> bytes:
        return os.pread(self._file, self._size[index], self._begin[index])

    def __len__(self) -> int:
        return len(self.serials)

    def __iter__(self) -> Iterator[Change]:
        return (unpacked(self._record(index)) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...
    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        if isinstance(index, slice):
            return tuple(unpacked(self._record(at)) for at in range(*index.indices(len(self))))
        return unpacked(self._record(range(len(self))[index]))

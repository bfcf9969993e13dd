"""The state as one run sees it: how devices stand, and which were touched while it looked."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from reconciler.canonical import canonical, checksum
from reconciler.errors import StateError
from reconciler.fleet.held import Lookup, copied, everyone, held, quiet
from reconciler.fleet.parts import Anew
from reconciler.index import Index
from reconciler.model import DeviceState, Serial
from reconciler.state.backend import Backend, Head, Look


class Standpoint:
    """A state beside an index, at the moment of `look`. `extra` are devices it may hold that no file declares.

    A copy of it is made where everything is looked at, where several processes look, and where somebody writes
    meanwhile: then its moment is ours, so that no apply can keep a plan from its end. It goes with `stack`.
    """

    def __init__(self, backend: Backend, index: Index, check: Callable[[Head], None], stack: ExitStack) -> None:
        self._backend, self._stack = backend, stack
        self._copy: tuple[Path, Look] | None = None
        meta = index.meta()
        if "head" not in meta:
            _, self.look = self._copied()
            check(self.look.head)
            self.extra = set(everyone(self.copy))
            return
        since = Head(**json.loads(meta["head"]))
        look = backend.look(since)
        check(look.head if look else backend.head())
        if look is None or (look.head == since and look.mark != meta["mark"]):
            raise Anew("the state is another, or moved otherwise than by its journal")
        self.look = look
        self.extra = index.extra() | look.touched
        index.put_same((serial, self._stands(serial, index)) for serial in look.touched)

    @property
    def copy(self) -> Path:
        """The file of a copy."""
        return self._copied()[0]

    def held(self, serials: Sequence[Serial]) -> Mapping[Serial, DeviceState]:
        """How those of these devices stand that the state has, now: `moved_on` tells whom to ask about again."""
        if self._copy:
            return held(self._copy[0], serials)
        found = self._again(serials).devices  # and those that were touched since, whom nobody asked about
        return {serial: found[serial] for serial in serials if serial in found}

    def moved_on(self, index: Index, serials: Iterable[Serial]) -> frozenset[Serial]:
        """The devices that were touched since the last look, and have to be looked at again, which happens once.

        If there are none, the last look is at what is `extra`, too, and at `serials`, unless there is a copy: beyond
        these nothing is asked for.
        """
        self.extra = set(index.undeclared(self.extra))
        if self._copy is None or self._copy[1].head != self.look.head:
            look = self._again(self.extra if self._copy else self.extra.union(serials))
            if not look.touched:
                self.look = look
                return frozenset()
            _, moment = self._copied()
            touched, self.look = self._again(()).touched, moment
            self.extra |= touched
            return touched
        self.look = replace(self.look, devices=held(self._copy[0], [*self.extra]))
        return frozenset()

    def gone(self, index: Index) -> dict[Serial, DeviceState]:
        """The devices that the state has and no file declares, once it has not moved on."""
        self.extra &= self.look.devices.keys()
        return {serial: self.look.devices[serial] for serial in sorted(index.undeclared(self.extra))}

    def settled(self, serials: Sequence[Serial]) -> Mapping[Serial, DeviceState]:
        """As `held`, at the moment of the last look, once the state has not moved on."""
        if self._copy:
            return held(self._copy[0], serials)
        return {serial: self.look.devices[serial] for serial in serials if serial in self.look.devices}

    def known(self, serials: Iterable[Serial]) -> Mapping[Serial, DeviceState]:
        """Devices at the moment of the last look, at least these, which the state has, and those that are gone."""
        return Lookup(self._copy[0], serials, self.look.devices) if self._copy else self.look.devices

    def meta(self) -> dict[str, str]:
        """What the next run has to know."""
        return {"head": json.dumps(asdict(self.look.head)), "mark": self.look.mark}

    def _copied(self) -> tuple[Path, Look]:
        if self._copy is None:
            self._copy = self._stack.enter_context(copied(self._backend))
        return self._copy

    def _again(self, serials: Collection[Serial]) -> Look:
        look = self._backend.look(self.look.head, serials)
        if look is None:
            raise StateError("the state was replaced by another while this plan was made; plan again")
        return look

    def _stands(self, serial: Serial, index: Index) -> bool:
        state, known = self.look.devices.get(serial), index.known(serial)
        return bool(state and known and quiet(state) and checksum(canonical(state.fields)) == known[0])

"""DesiredState x Snapshot -> Changes.

The law: for every device, snapshot + changes = desired; and a device that is equal has no change.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from reconciler.brief import Columns, Fields
from reconciler.canonical import canonical, sha256
from reconciler.model import (
    ABSENT,
    Action,
    Change,
    DesiredState,
    Device,
    DeviceState,
    FieldChange,
    Json,
    Serial,
    Snapshot,
    Standing,
    Value,
)
from reconciler.plan.decommission import asked, retired
from reconciler.plan.marks import Marks
from reconciler.pointer import get, join, patched, split

Removed = Literal["release", "null", "error"]


def diff(
    desired: DesiredState,
    snapshot: Snapshot,
    *,
    marks: Marks | None = None,
    removed: Removed = "release",
    merged: Callable[[str], bool] = lambda _: False,
    resend: bool = False,
    decommission: Mapping[str, Json] | None = None,
) -> tuple[Change, ...]:
    """What brings each device from the snapshot to what is desired, in serial order.

    `removed` says what a field that left the inventory becomes: an explicit null, or nothing (ABSENT). `merged` tells
    the top-level fields whose objects are sent key by key; in all others a removed key disappears with its object.
    `resend` also sends again what the server answered differently from what was sent. `decommission` are the fields
    that a device gets when it left the inventory; None: it is released. One that is replaced goes with its successor:
    forgotten with that one's change, or decommissioned after it.
    """
    rules = _Rules(marks or Marks(), removed == "null", merged, resend, decommission)
    serials = sorted(desired.devices.keys() | snapshot.devices.keys())
    found: dict[Serial, Change] = {}
    for serial in serials:
        if change := rules.change(serial, desired.devices.get(serial), snapshot.devices.get(serial)):
            found[serial] = change
    for old, new in replaced(desired, snapshot).items():
        change, last = found.get(new), found.get(old)
        if change and (decommission is None or change.action is Action.ADOPT):
            action = Action.REPLACE if change.action is Action.ADOPT else change.action
            gone = fingerprint(snapshot.devices[old].fields, rules.marks) if decommission is None else None
            found[new] = dataclasses.replace(change, action=action, replaces=old, kept=gone is None, forgets=gone)
            if last and decommission is not None:
                found[old] = dataclasses.replace(last, waits_for=new)
            elif last:
                del found[old]
    return tuple(found.values())


def replaced(desired: DesiredState, snapshot: Snapshot) -> dict[Serial, Serial]:
    """For each device that left the inventory and is replaced by one that is in it: which one."""
    return {
        device.replaces: serial
        for serial, device in sorted(desired.devices.items())
        if device.replaces in snapshot.devices and device.replaces not in desired.devices and device.replaces
    }


def fingerprint(fields: Mapping[str, Json], marks: Marks) -> str:
    """sha256 of the fields with every secret masked: it may stand in a plan file that strangers read."""
    secrets = [(pointer, True) for pointer in sorted(marks.secret) if get(fields, pointer) is not ABSENT]
    return sha256(patched(fields, secrets))


def standing(snapshot: Snapshot, changes: Iterable[Change]) -> tuple[Standing, ...]:
    """The devices that were applied and do not hold, or never confirmed, what was sent; but for those sent again."""
    sent = {change.serial for change in changes if change.action in {Action.RESEND, Action.RELEASE}}
    return tuple(
        Standing(serial, state.divergence, tuple(sorted(state.unconfirmed)))
        for serial, state in sorted(snapshot.devices.items())
        if serial not in sent and state.unknown is None and (state.divergence or state.unconfirmed)
    )


NOTHING = sha256({})
"""The fingerprint of a device without fields."""
_NEW = DeviceState({})


class _Rules:
    def __init__(
        self,
        marks: Marks,
        null: bool,  # noqa: FBT001 - private
        merged: Callable[[str], bool],
        resend: bool,  # noqa: FBT001 - private
        patch: Mapping[str, Json] | None,
    ) -> None:
        self.marks = marks
        self.null = null
        self.merged = merged
        self.resend = resend
        self.patch = patch
        self._shapes: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[bool, ...]]] = {}

    def change(self, serial: Serial, device: Device | None, state: DeviceState | None) -> Change | None:
        if state is None:
            assert device is not None  # noqa: S101 - a serial comes from one side or the other
            return self._made(serial, Action.ADOPT, self._adopted(device.fields), _NEW, device)
        if device is not None:
            fields, again = self._needed(state, device.fields)
            action = Action.RESEND if again else Action.UPDATE
        elif self.patch is not None:
            wanted = retired(state, self.patch)
            fields, again = self._needed(state, wanted)
            new = any(self.fields(asked(state), wanted))
            action = Action.RESEND if again and not new else Action.DECOMMISSION
        else:
            return self._made(serial, Action.RELEASE, (), state, None)
        return self._made(serial, action, fields, state, device) if fields or again else None

    def _adopted(self, fields: Mapping[str, Json]) -> Fields:
        names = tuple(fields)
        if names not in self._shapes:
            paths = tuple(map(join, names))
            self._shapes[names] = paths, tuple(map(self.marks.sensitive, paths))
        paths, sensitive = self._shapes[names]
        if any(sensitive):
            sensitive = tuple(map(self.marks.hides, paths, fields.values()))
        count = len(paths)
        found = Columns((ABSENT,) * count, tuple(fields.values()), (None,) * count, sensitive, (False,) * count)
        return Fields(paths, lambda: found)

    def _needed(self, state: DeviceState, wanted: Mapping[str, Json]) -> tuple[tuple[FieldChange, ...], bool]:
        """What brings a device to what is wanted, and whether some of it is sent again."""
        fields = tuple(self.fields(state.fields, wanted))
        again = self._again(state)
        whole = {name for name in again if self.merged(name)}
        fields = tuple(change for change in fields if split(change.path)[0] not in whole)
        changed = {split(change.path)[0] for change in fields}
        for name in sorted(again.keys() - changed):
            fields += tuple(self._resent(name, again[name], wanted, state.fields.get(name)))
        return fields, bool(again)

    def fields(self, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[FieldChange]:
        """The changes of one device, in the order of its fields; removed fields last."""
        for name, value in after.items():
            if name not in before:
                yield self._field(name, ABSENT, value)
            elif not _same(before[name], value):
                yield from self._inside(name, before[name], value)
        for name in sorted(before.keys() - after.keys()):
            if not self.null:
                yield self._field(name, before[name], ABSENT)
            elif before[name] is not None:
                yield self._field(name, before[name], None)

    def _inside(self, name: str, before: Json, after: Json) -> Iterator[FieldChange]:
        pointers = sorted(_pointers(name, before, after))
        old, new = {name: before}, {name: after}
        changes = {pointer: get(new, pointer) for pointer in pointers if not self._same_set(pointer, old, new)}
        if len(changes) == len(pointers) and canonical(patched(old, changes.items())) != canonical(new):
            changes = {join(name): after}
        for pointer, value in changes.items():
            nulled = value is ABSENT and self.null and self.merged(name)
            if not (nulled and get(old, pointer) is None):
                yield self._at(pointer, get(old, pointer), None if nulled else value)

    def _same_set(self, pointer: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> bool:
        if pointer not in self.marks.set_like:
            return False
        before, after = get(old, pointer), get(new, pointer)
        return isinstance(before, list) and isinstance(after, list) and _members(before) == _members(after)

    def _again(self, state: DeviceState) -> Mapping[str, Json]:
        """The top-level fields that must be sent whether they changed or not, with the value that may be there now."""
        if state.unknown is not None:
            return state.unknown.body
        if self.resend:
            names = {split(item.path)[0] for item in state.divergence} | state.unconfirmed
            shown = patched(state.fields, [(item.path, item.echoed) for item in state.divergence])
            return {name: shown.get(name) for name in sorted(names)}
        return {}

    def _resent(self, name: str, sent: Json, desired: Mapping[str, Json], held: Json) -> Iterator[FieldChange]:
        if name not in desired:
            yield self._field(name, sent, None if self.null else ABSENT)
            return
        whole = desired[name]
        if self.merged(name):
            if self.null and isinstance(whole, dict):
                gone = {key for side in (sent, held) if isinstance(side, dict) for key in side} - whole.keys()
                whole = {**whole, **dict.fromkeys(sorted(gone))}
            yield self._field(name, sent, whole)
            return
        yield from tuple(self._inside(name, sent, whole)) or [self._field(name, sent, whole)]

    def _field(self, name: str, before: Value, after: Value) -> FieldChange:
        return self._at(join(name), before, after)

    def _at(self, pointer: str, before: Value, after: Value) -> FieldChange:
        return FieldChange(pointer, before, after, sensitive=self.marks.hides(pointer, before, after))

    def _made(
        self,
        serial: Serial,
        action: Action,
        fields: Sequence[FieldChange],
        state: DeviceState,
        device: Device | None,
    ) -> Change:
        after: Mapping[str, Json] = {}
        if action is Action.ADOPT and device is not None:
            after = device.fields
        elif action is not Action.RELEASE:
            after = patched(state.fields, [(change.path, change.after) for change in fields])
        return Change(
            serial=serial,
            action=action,
            fields=fields,
            before=fingerprint(state.fields, self.marks) if state.fields else NOTHING,
            after=fingerprint(after, self.marks),
            unknown=fingerprint(state.unknown.body, self.marks) if state.unknown else None,
            source=device.source if device else None,
        )


def _pointers(name: str, before: Json, after: Json) -> set[str]:
    """Where two values of one field differ, never below a list."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return {join(name)}
    same = {key for key in before.keys() & after.keys() if _same(before[key], after[key])}
    old, new = (canonical({key: side[key] for key in side if key not in same}) for side in (before, after))
    return {join(name, *keys) for keys in (_apart if len(old) + len(new) < LONG else _compared)(old, new)}


def _compared(old: str, new: str) -> frozenset[tuple[str, ...]]:
    """Where two JSON objects differ."""
    from deepdiff import DeepDiff  # costs more than a plan without changes

    before, after = json.loads(old), json.loads(new)
    found = DeepDiff(
        before, after, view="tree", ignore_private_variables=False, threshold_to_diff_deeper=0, verbose_level=0
    )
    paths = (item.path(output_format="list") for items in found.values() for item in items)
    return frozenset(tuple(_above_lists(path, before)) for path in paths)


_apart = lru_cache(maxsize=100)(_compared)
LONG = 10_000
"""Characters from which on two values are hardly those of many devices, and would be dear to keep."""


def _above_lists(path: Iterable[str | int], document: Json) -> Iterator[str]:
    for key in path:
        if not isinstance(document, dict):
            return
        yield str(key)
        document = document.get(str(key))


def _same(before: Json, after: Json) -> bool:
    """Whether the canonical spelling is the same, which for most values can be told without spelling them.

    What Python takes for different is spelled differently; what it takes for equal may yet be 1, 1.0 and true.
    """
    return before == after and (
        type(before) is type(after) is str or repr(before) == repr(after) or canonical(before) == canonical(after)
    )


def _members(items: list[Json]) -> list[str]:
    return sorted(canonical(item) for item in items)

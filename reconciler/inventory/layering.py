"""Which layers reach a device, and what they make together."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from itertools import combinations
from typing import TypeAlias

from reconciler.inventory.document import Document, Finding
from reconciler.inventory.groups import Group, disagreements, groups, knows, looked_at, selected, unknown
from reconciler.inventory.layers import layer
from reconciler.inventory.merge import ListRules, braced, filled, laid, mistyped, templated
from reconciler.inventory.origin import Statement, origin, spoken
from reconciler.model import ABSENT, Json, Layer, Serial
from reconciler.pointer import get, related
from reconciler.printable import dotted

Fact: TypeAlias = tuple[str, ...]
"""What is true of a layer because of some file, which is its witness. Layers are named by file, place and path.

`selects GROUP`, `knows PATH GROUP` (a device has what the group selects by), `label NAME`, `unset LAYER` (it reaches a
device), `unsets LAYER` (and takes something away), `lock LAYER` (it reaches a device), `locks LAYER` (that has it).
"""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the layers make of one device, lowest first, and what is wrong with that."""

    fields: dict[str, Json]
    layers: tuple[Layer, ...]
    findings: tuple[Finding, ...] = ()


class Layering:
    """The layers of an inventory. What devices have in common is laid once.

    `findings` are about the layers themselves; `afterwards` tells what only shows once every device was resolved: it
    goes by `witnesses`, which a run that does not read every file may add to.
    """

    def __init__(
        self, defaults: Iterable[Document], groups_: Iterable[Document], rules: ListRules, today: date
    ) -> None:
        self.rules, self.today = rules, today
        self._groups, self.findings = groups(groups_)
        self._defaults: dict[str, Layer] = {}
        for document in defaults:
            made, findings = _defaults(document)
            self._defaults[document.path.rpartition("/")[0]] = made
            self.findings += findings
        for shared in (*self._defaults.values(), *(group.layer for group in self._groups)):
            self.findings += doubtful(shared, today)
        self._stacks: dict[str, Stack] = {}
        self._laid: dict[tuple[int, ...], tuple[dict[str, Json], bool]] = {(): ({}, False)}
        self._kept: list[Layer] = []
        self._checked: set[tuple[int, ...]] = set()
        self._compared: set[tuple[int, int]] = set()
        self._unseen = {(path, group.name) for group in self._groups for path in looked_at(group)}
        self.witnesses: dict[Fact, str] = {}

    def stack(self, path: str) -> "Stack":
        """What reaches the devices of the file at `path`: the defaults of its folder and of those above."""
        folder = path.rpartition("/")[0]
        if folder not in self._stacks:
            above = dict.fromkeys(["", *(folder[: found.start()] for found in re.finditer("/", folder)), folder])
            found = (self._defaults.get(name) for name in above)
            self._stacks[folder] = Stack(self, tuple(item for item in found if item is not None))
        return self._stacks[folder]

    def afterwards(self, known: Iterable[str]) -> Iterator[Finding]:
        """Groups without devices, selections by what does not exist, and words that unset nothing."""
        known = set(known)
        for group in self._groups:
            lost = [
                path
                for path in looked_at(group)
                if ("knows", path, group.name) not in self.witnesses and path not in known
            ]
            for path in lost:
                labels = [fact[1] for fact in self.witnesses if fact[0] == "label"]
                fields = [item.rpartition("/")[2] for item in known]
                yield unknown(group, path, labels if path.startswith("/$labels/") else fields)
            if not lost and ("selects", group.name) not in self.witnesses:
                message = f"the group {group.name} selects no device"
                yield Finding(
                    "RC616", message, "correct its select, or delete it", group.layer.file, "/select", warning=True
                )
        for kind, *where in list(self.witnesses):
            if kind == "lock" and ("locks", *where) not in self.witnesses and where[2] not in known:
                file, place, path = where
                message = f"$lock: no device that it reaches has {dotted(path)}"
                close = get_close_matches(path, known, 1)
                fix = f"did you mean {dotted(close[0])}?" if close else "correct the path, or delete it"
                yield Finding("RC620", message, fix, file, place, warning=True)
            if kind == "unset" and ("unsets", *where) not in self.witnesses:
                file, place, path = where
                yield _unsets_nothing(path, file, place)

    def resolve(self, low: tuple[Layer, ...], file: tuple[Layer, ...], own: Layer, serial: Serial | None) -> Resolved:
        """The device whose own layer is `own`, above the defaults of its file, groups, and the defaults of folders."""
        braces = not own.plain and (braced(own.values) or bool(own.overrides))
        findings = [*doubtful(own, self.today)] if braces else []
        below, templates = self._together((*low, *file), own.file)
        fields = laid(below, own, self.rules, self.today)
        chosen = self._chosen(fields, low, file, own, serial) if self._groups else ()
        layers = (*low, *(group.layer for group in chosen), *file, own)
        if chosen:
            findings += self._disagreements(chosen)
            below, templates = self._together(layers[:-1], own.file)
            fields = laid(below, own, self.rules, self.today)
        findings += (
            _unsets_nothing(path, own.file, place) for path, place in own.unset.items() if get(below, path) is ABSENT
        )
        findings += self._locked(layers, fields, serial)
        if serial and (templates or (braces and (templated(own.values) or own.overrides))):
            fields = self._filled(fields, layers, serial, findings)
        return Resolved(fields, layers, tuple(findings))

    def _chosen(
        self,
        fields: dict[str, Json],
        low: tuple[Layer, ...],
        file: tuple[Layer, ...],
        own: Layer,
        serial: Serial | None,
    ) -> tuple[Group, ...]:
        """The groups that select a device which holds `fields` before any group touched it."""
        if serial:
            fields = {**fields, "serial_number": serial}
        labels = {name: text for item in (*low, *file, own) for name, text in item.labels.items()}
        for name in labels:
            self.witnesses.setdefault(("label", name), own.file)
        for path, name in [key for key in self._unseen if knows(key[0], fields, labels)]:
            self._unseen.discard((path, name))
            self.witnesses.setdefault(("knows", path, name), own.file)
        chosen = tuple(group for group in self._groups if selected(group, fields, labels))
        for group in chosen:
            self.witnesses.setdefault(("selects", group.name), own.file)
        return chosen

    def _together(self, layers: tuple[Layer, ...], witness: str) -> tuple[dict[str, Json], bool]:
        """What shared layers make, and whether a string in it is to be filled in; `witness` is a file they reach."""
        key = tuple(map(id, layers))
        if key not in self._laid:
            top = layers[-1]
            below, templates = self._together(layers[:-1], witness)
            self._kept.append(top)  # or another layer might get its id
            for path, place in top.unset.items():
                self.witnesses.setdefault(("unset", top.file, place, path), witness)
                if get(below, path) is not ABSENT:
                    self.witnesses.setdefault(("unsets", top.file, place, path), witness)
            fields = laid(below, top, self.rules, self.today)
            self._laid[key] = fields, templates or templated(fields)
        return self._laid[key]

    def _disagreements(self, chosen: tuple[Group, ...]) -> Iterator[Finding]:
        key = tuple(id(group) for group in chosen)
        if len(chosen) < 2 or key in self._checked:  # noqa: PLR2004 - two to disagree
            return
        self._checked.add(key)
        for one, other in combinations(chosen, 2):
            if (id(one), id(other)) not in self._compared:
                self._compared.add((id(one), id(other)))
                yield from disagreements(one, other, self.rules)

    def _locked(self, layers: Sequence[Layer], fields: Mapping[str, Json], serial: Serial | None) -> Iterator[Finding]:
        for index, low in enumerate(layers):
            if low.lock:
                self._note_locks(low, fields, layers[-1].file)
                for above in layers[index + 1 :]:
                    shared = above is not layers[-1]
                    if shared and (id(low), id(above)) in self._checked:
                        continue
                    self._checked.add((id(low), id(above)))
                    yield from _violations(low, above, "" if shared else f"{serial or 'this device'}.", self.today)

    def _note_locks(self, layer: Layer, fields: Mapping[str, Json], witness: str) -> None:
        """Remember which locks a device has something under."""
        for path, place in layer.lock.items():
            self.witnesses.setdefault(("lock", layer.file, place, path), witness)
            if get(fields, path) is not ABSENT:
                self.witnesses.setdefault(("locks", layer.file, place, path), witness)

    def _filled(
        self, fields: dict[str, Json], layers: tuple[Layer, ...], serial: Serial, findings: list[Finding]
    ) -> dict[str, Json]:
        labels = {name: text for item in layers for name, text in item.labels.items()}

        def fill(found: re.Match[str], path: str) -> str:
            if found[1]:
                return serial
            if found[2] not in labels:
                said = origin(layers, path, self.today) or Statement(layers[-1], layers[-1].pointer, "sets")
                shared = serial if said.layer is not layers[-1] else None
                message = (
                    f"{dotted(path)} speaks of the label {found[2]}, which {'a device' if shared else serial} lacks"
                )
                fix = "set it under $labels, in the device or in a _defaults.yaml above it"
                findings.append(Finding("RC612", message, fix, said.layer.file, said.pointer, device=shared))
            return labels.get(found[2], found[0])

        result = filled(fields, fill)
        assert isinstance(result, dict)  # noqa: S101 - a mapping stays one
        return result


@dataclass(frozen=True, slots=True)
class Stack:
    """What reaches the devices of one file: the defaults of its folders, and its own."""

    layering: Layering
    low: tuple[Layer, ...]
    file: tuple[Layer, ...] = ()

    def with_own(self, defaults: Layer) -> "Stack":
        """With the file's own `defaults:` on top."""
        return replace(self, file=(defaults,))

    def resolved(self, own: Layer, serial: Serial | None) -> Resolved:
        """What the layers make of the device whose own layer is `own`."""
        return self.layering.resolve(self.low, self.file, own, serial)


def doubtful(layer: Layer, today: date) -> Iterator[Finding]:
    """What a layer says and hardly means: overrides whose last day is over, and words that nobody fills in."""
    for place, text in mistyped(layer):
        fix = "write {serial_number} or {$labels.NAME}; anything else is sent as it stands"
        yield Finding("RC621", f"{text} is not filled in", fix, layer.file, place, warning=True)
    for item in layer.overrides:
        if item.until < today:
            message = f"the override of {dotted(item.path)} ended on {item.until} ({item.reason}); it counts no more"
            yield Finding("RC615", message, "delete it, or give it a later day", layer.file, item.pointer, warning=True)


def _defaults(document: Document) -> tuple[Layer, list[Finding]]:
    value, file = document.value, document.file
    if value is not None and value is not ABSENT and not isinstance(value, dict):
        message = "the file holds no defaults; expected a mapping of fields"
        return Layer(file, file, "", {}), [Finding("RC605", message, "write the values as in a device", file, "")]
    made, findings = layer(file, file, "", value if isinstance(value, dict) else {})
    return made, findings + list(not_for_many(value if isinstance(value, dict) else {}, file, ""))


def not_for_many(value: dict[str, Json], file: str, where: str) -> Iterator[Finding]:
    """What only one device can say, found in a layer that many share."""
    for key in ("serial_number", "$replaces", "devices", "defaults"):
        if key in value:
            message = f"{key} is about devices, and these are values that devices share"
            yield Finding("RC613", message, "move it into a device file", file, f"{where}/{key}", at_key=True)


def _violations(low: Layer, above: Layer, label: str, today: date) -> Iterator[Finding]:
    for path, place in low.lock.items():
        said = spoken(above, path)
        where = None if said is None else above.pointer + said
        for gone, there in above.unset.items():
            where = there if related(gone, path) else where
        for item in above.overrides:
            touches = item.until >= today and (related(item.path, path))
            where = item.pointer if touches else where
        if where is not None:
            message = f"{label}{dotted(path)} is locked at"
            fix = "delete this line; or take the lock away there, in a reviewed change"
            yield Finding("RC610", message, fix, above.file, where, also=(low.file, place))


def _unsets_nothing(path: str, file: str, place: str) -> Finding:
    return Finding("RC611", f"$unset: nothing below sets {dotted(path)}", "correct the path, or delete it", file, place)

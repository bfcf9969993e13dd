"""Where the stages meet once more, for one device: why is this value here, since when, and what comes next."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from reconciler.bookkeeping import frozen
from reconciler.canonical import canonical
from reconciler.config import Settings
from reconciler.conformance import marked
from reconciler.desired import desired_state
from reconciler.errors import Usage
from reconciler.inventory.asked import asked, meant
from reconciler.inventory.blame import blame
from reconciler.inventory.document import Place
from reconciler.inventory.merge import ListRules
from reconciler.inventory.origin import deciding, mentioned, statements, tips
from reconciler.inventory.read import look_closer
from reconciler.model import (
    ABSENT,
    Action,
    Carried,
    Change,
    DesiredState,
    Device,
    DeviceState,
    Divergence,
    Entry,
    Explanation,
    FieldChange,
    Json,
    Layer,
    Named,
    Provenance,
    Said,
    Serial,
    Snapshot,
    Source,
    Value,
)
from reconciler.near import near
from reconciler.plan.diff import diff, replaced
from reconciler.plan.marks import Marks
from reconciler.pointer import get, join, patched, related, split
from reconciler.report.journal import standing
from reconciler.state.backend import Backend
from reconciler.state.history import began, history
from reconciler.state.open import Note, check_lineage, open_state

MASK = "(sensitive)"
"""Stands for a secret."""

Hidden = Callable[[str], bool]
"""Whether the value at a pointer is a secret, holds one or is part of one."""


def explain(
    settings: Settings,
    serial: str,
    path: str = "",
    *,
    today: date | None = None,
    environ: Mapping[str, str] | None = None,
    note: Note | None = None,
) -> Explanation:
    """What every layer says about a device, what was last applied to it, and what the plan would send.

    With a `path`, as people write it, only of what is there or inside, and with who wrote it. Takes no lease, needs no
    token, no state, and the network only for a state that is kept there. `note` is told if such a state is read as last
    fetched; `environ` is what git gets. Raises InventoryError, StateError, and Usage for what is nowhere.
    """
    desired, rules = desired_state(settings, today), marked(settings)
    with closing(open_state(settings.state, settings.root, note=note)) as backend:
        snapshot = backend.read()
        check_lineage(snapshot, settings.lineage, settings.state)
        device, state = _both(serial, desired, snapshot)
        layers = device.layers if device else ()
        past = history(backend.entries(serial=Serial(serial)) if state else ())
        ours, theirs = _swapped(Serial(serial), desired, snapshot)
        change = _change(settings, rules, Serial(serial), ours, theirs)
        spoken = {*mentioned(layers), *tips(state.fields if state else {})} | _changed(change)
        paths = asked(path, device.fields if device else {}, spoken, serial)
        outcomes = {name: past.outcome(name) for name in paths}
        latest = max(past.outcomes.values(), key=lambda entry: entry.seq, default=None)
        carried = _carried(backend, {entry.seq: entry for entry in (*outcomes.values(), latest) if entry})

    forgotten = past.forgotten(rules.secret)

    def hidden(pointer: str) -> bool:
        return rules.sensitive(pointer) or any(related(pointer, secret) for secret in forgotten)

    places = _Places(settings.root)
    lists = ListRules(rules.merged_sets, rules.merged_by)
    values = [
        replace(
            _value(name, device, state, change, hidden),
            said=_said(layers, name, desired.today, lists=lists, hidden=hidden, places=places),
            kept=len(split(name)) == 1 or settings.api.merges(split(name)[0]),
            carried=carried[entry.seq] if (entry := outcomes[name]) else None,
        )
        for name in paths
    ]
    successor = replaced(ours, theirs).get(Serial(serial)) if settings.on_removed.decommission is None else None
    managed = device or (ours.devices[successor] if successor else None)
    managing = next((layer for layer in reversed(layers) if layer.manage), None)
    return Explanation(
        Serial(serial),
        meant(path),
        device.source if device else None,
        _blamed(values, places, environ or {}) if path else tuple(values),
        layers=tuple(layer.name for layer in layers),
        groups=tuple(
            Named(layer.name.removeprefix("group "), "", places.source(layer.file, "/group"))
            for layer in layers
            if layer.pointer == "/set"
        ),
        labels=_labels(layers, places),
        manage=managed.manage if managed else "apply",
        managed_at=places.source(managing.file, managing.pointer + "/$manage") if managing else None,
        replaces=device.replaces if device else None,
        replaced_by=successor,
        standing=standing(state, frozen(settings)) if state else "",
        carried=carried[latest.seq] if latest else None,
        action=change.action if change else None,
    )


def _both(serial: str, desired: DesiredState, snapshot: Snapshot) -> tuple[Device | None, DeviceState | None]:
    """The device as declared and as in the state; at least one of the two."""
    device, state = desired.devices.get(Serial(serial)), snapshot.devices.get(Serial(serial))
    if device is None and state is None:
        meant = near(serial, {*snapshot.devices, *desired.devices})
        hint = f"did you mean {meant}?" if meant else "`reconciler plan --full` and `state list` name those"
        raise Usage(f"{serial} is neither in the inventory nor in the state; {hint}")
    return device, state


def _swapped(serial: Serial, desired: DesiredState, snapshot: Snapshot) -> tuple[DesiredState, Snapshot]:
    """Both sides of the device, of the one that it replaces, and of those that replace it."""
    kin = {serial} | {other.serial for other in desired.devices.values() if other.replaces == serial}
    kin |= {old for name in kin if (device := desired.devices.get(name)) and (old := device.replaces)}
    return (
        replace(desired, devices={name: desired.devices[name] for name in kin if name in desired.devices}),
        replace(snapshot, devices={name: snapshot.devices[name] for name in kin if name in snapshot.devices}),
    )


def _change(
    settings: Settings, rules: Marks, serial: Serial, desired: DesiredState, snapshot: Snapshot
) -> Change | None:
    """What the plan would do about the device, were it not observed or paused."""
    changes = diff(
        desired,
        snapshot,
        marks=rules,
        removed=settings.on_removed.field,
        merged=settings.api.merges,
        decommission=settings.on_removed.decommission,
    )
    return next((change for change in changes if change.serial == serial), None)


def _value(
    path: str, device: Device | None, state: DeviceState | None, change: Change | None, hidden: Hidden
) -> Provenance:
    held = state.fields if state else {}
    value, applied = get(device.fields if device else {}, path), get(held, path)
    after = get(patched(held, [(field.path, field.after) for field in change.fields]), path) if change else applied
    resends = change is not None and change.action is Action.RESEND
    again = resends and any(related(path, other) for other in _changed(change))
    secret = hidden(path)
    return Provenance(
        path,
        _masked(value, hide=secret),
        applied=_masked(applied, hide=secret),
        unknown=bool(state and state.unknown and split(path)[0] in state.unknown.body),
        unconfirmed=bool(state and split(path)[0] in state.unconfirmed),
        divergence=tuple(
            Divergence(it.path, *(_masked(side, hide=secret or hidden(it.path)) for side in (it.sent, it.echoed)))
            for it in (state.divergence if state else ())
            if related(path, it.path)
        ),
        change=FieldChange(path, _masked(applied, hide=secret), _masked(after, hide=secret), sensitive=secret)
        if again or _spelled(applied) != _spelled(after)
        else None,
        sensitive=secret,
    )


def _said(
    layers: Sequence[Layer], path: str, today: date, *, lists: ListRules, hidden: Hidden, places: "_Places"
) -> tuple[Said, ...]:
    winning = deciding(layers, path, lists, today)
    return tuple(
        Said(
            item.layer.name,
            item.verb,
            item.path,
            places.source(item.layer.file, item.pointer),
            _masked(item.value, hide=hidden(path) or hidden(item.path)),
            wins=item in winning,
            until=item.override.until if item.override else None,
            reason=item.override.reason if item.override else "",
        )
        for item in statements(layers, path, today)
    )


def _changed(change: Change | None) -> set[str]:
    return {field.path for field in change.fields} if change else set()


def _labels(layers: Sequence[Layer], places: "_Places") -> tuple[Named, ...]:
    """In order of names; the highest layer decides."""
    found = {name: (text, layer) for layer in layers for name, text in layer.labels.items()}
    return tuple(
        Named(name, text, places.source(layer.file, layer.pointer + join("$labels", name)))
        for name, (text, layer) in sorted(found.items())
    )


def _carried(backend: Backend, outcomes: Mapping[int, Entry]) -> dict[int, Carried]:
    """Each outcome with its run, by its number in the journal."""
    runs: dict[str, Mapping[str, Json]] = {}
    for entry in outcomes.values():
        if entry.run not in runs:
            run = began(backend, entry)
            runs[entry.run] = run.data if run else {}
    return {
        seq: Carried(
            entry.kind, entry.at, entry.run, *(str(runs[entry.run].get(key) or "") for key in ("by", "commit", "url"))
        )
        for seq, entry in outcomes.items()
    }


def _blamed(values: Iterable[Provenance], places: "_Places", environ: Mapping[str, str]) -> tuple[Provenance, ...]:
    """With who wrote the winning lines."""
    values = tuple(values)
    lines: dict[str, set[int]] = {}
    for item in (said for value in values for said in value.said if said.wins):
        lines.setdefault(item.source.file, set()).add(item.source.line)
    found = {file: blame(places.path(file), wanted, environ) for file, wanted in lines.items()}

    def by(item: Said) -> Said:
        return replace(item, blame=found[item.source.file].get(item.source.line)) if item.wins else item

    return tuple(replace(value, said=tuple(by(item) for item in value.said)) for value in values)


def _masked(value: Value, *, hide: bool) -> Value:
    return MASK if hide and value is not ABSENT else value


def _spelled(value: Value) -> str:
    return "" if value is ABSENT else canonical(value)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where pointers lead in the files of the inventory, each read once more when it is first asked for."""

    root: Path
    _read: dict[str, Mapping[str, Place]] = field(default_factory=dict)

    def path(self, file: str) -> Path:
        return self.root / file

    def source(self, file: str, pointer: str) -> Source:
        """The place of the value there, or of the nearest around it that there is."""
        if file not in self._read:
            self._read[file] = look_closer(self.path(file), file).values
        found = self._read[file]
        while pointer not in found and pointer:
            pointer = pointer.rpartition("/")[0]
        return Source(file, *found.get(pointer, (1, 1)))

"""What the journal means: the snapshot is the fold of `step` over its entries. Pure.

    intent      unknown = this PUT; uncertain if the fate of an earlier one was still unknown
    applied     the intent's fields hold, confirmed. With `fields` of its own: nothing was sent, just these are settled
    divergent   the intent's fields are recorded, with what the server shows instead
    accepted    the intent's fields are recorded, unconfirmed. With `late`, here and above: an earlier request with this
                body may still arrive; without, only what may have of the same body before
    rejected    as before the intent; but if that was uncertain, unknown stays: the earlier PUT may still have struck
    not-sent    like rejected
    unknown     unknown stays
    released, replaced, forgotten   the device is gone

What diverges or is unconfirmed in other fields than the intent's stays so. A device whose first PUT is not yet answered
has no fields; if that PUT turns out to have done nothing, it is gone again.
"""

from collections.abc import Iterable
from dataclasses import replace

from reconciler.change_json import divergence_from_json, field_from_json
from reconciler.model import DeviceState, Divergence, Draft, Entry, EntryKind, FieldChange, Intent, Json, Late, Serial
from reconciler.pointer import join, patched, split, within

_NEVER_ADOPTED = DeviceState(fields={})


def fold(entries: Iterable[Draft | Entry]) -> dict[Serial, DeviceState]:
    """The devices of the snapshot. Raises ValueError like `step`."""
    devices: dict[Serial, DeviceState] = {}
    for entry in entries:
        if entry.serial is not None:
            state = step(devices.get(entry.serial), entry)
            if state is None:
                devices.pop(entry.serial, None)
            else:
                devices[entry.serial] = state
    return devices


def step(state: DeviceState | None, entry: Draft | Entry) -> DeviceState | None:
    """The device's state after `entry`, which is about this device; None: it is not in the snapshot.

    Raises ValueError for an outcome without an intent, and for data that does not fit the kind.
    """
    match entry.kind:
        case EntryKind.INTENT:
            state = state or _NEVER_ADOPTED
            sent = _intent(entry, uncertain=state.unknown is not None)
            return DeviceState(state.fields, sent, state.divergence, state.unconfirmed, state.late)
        case EntryKind.APPLIED if "fields" in entry.data:
            return _unsent(state, _changes(entry))
        case EntryKind.APPLIED | EntryKind.DIVERGENT | EntryKind.ACCEPTED:
            pending, intent = _pending(state, entry)
            about = intent.body.keys() | {split(change.path)[0] for change in intent.fields}
            found = _divergence(entry) if entry.kind is EntryKind.DIVERGENT else ()
            return DeviceState(
                fields=_after(pending, intent.fields),
                divergence=(*(item for item in pending.divergence if split(item.path)[0] not in about), *found),
                unconfirmed=(pending.unconfirmed - about)
                | (frozenset(intent.body) if entry.kind is EntryKind.ACCEPTED else frozenset()),
                late=Late(intent.body, entry.at) if entry.data.get("late") else _still_late(pending, intent),
            )
        case EntryKind.REJECTED | EntryKind.NOT_SENT | EntryKind.UNKNOWN:
            return _unanswered(*_pending(state, entry), entry)
        case EntryKind.RELEASED | EntryKind.REPLACED | EntryKind.FORGOTTEN:
            return None
        case EntryKind.RUN | EntryKind.ENDED | EntryKind.UNLOCKED:
            raise ValueError(f"{_place(entry)} is not about a device")


def _unanswered(state: DeviceState, intent: Intent, entry: Draft | Entry) -> DeviceState | None:
    if intent.uncertain or entry.kind is EntryKind.UNKNOWN:
        return replace(state, unknown=replace(intent, given_up=entry.at))
    settled = replace(state, unknown=None)
    return settled if settled != _NEVER_ADOPTED else None


def _unsent(state: DeviceState | None, changes: tuple[FieldChange, ...]) -> DeviceState:
    """Nothing was sent, so nothing was answered: what is unknown, divergent or unconfirmed stays so.

    Except where it is about these very fields: what is no longer managed is nobody's concern any more.
    """
    state = state or DeviceState(fields={})
    settled = tuple(change.path for change in changes)
    unknown = state.unknown
    if unknown and all(_among(change.path, settled) for change in unknown.fields):
        unknown = None
    return DeviceState(
        fields=_after(state, changes),
        unknown=unknown,
        divergence=tuple(item for item in state.divergence if not _among(item.path, settled)),
        unconfirmed=frozenset(name for name in state.unconfirmed if not _among(join(name), settled)),
        late=state.late,
    )


def _still_late(state: DeviceState, sent: Intent) -> Late | None:
    """What of the same body may still arrive; another body was not sent before it could not any more."""
    return state.late if state.late and state.late.body == sent.body else None


def _among(path: str, pointers: tuple[str, ...]) -> bool:
    return any(within(path, pointer) for pointer in pointers)


def _after(state: DeviceState, changes: Iterable[FieldChange]) -> dict[str, Json]:
    return patched(state.fields, [(change.path, change.after) for change in changes])


def _pending(state: DeviceState | None, entry: Draft | Entry) -> tuple[DeviceState, Intent]:
    if state is None or state.unknown is None:
        raise ValueError(f"{_place(entry)} has no intent before it")
    return state, state.unknown


def _intent(entry: Draft | Entry, *, uncertain: bool) -> Intent:
    try:
        changes = tuple(map(field_from_json, entry.data["fields"]))  # type: ignore[arg-type]  # TypeError if it is none
        return Intent(entry.data["body"], changes, uncertain, entry.run)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{_place(entry)} is malformed: {error}") from error


def _changes(entry: Draft | Entry) -> tuple[FieldChange, ...]:
    return tuple(field_from_json(item) for item in _list(entry, "fields"))


def _divergence(entry: Draft | Entry) -> tuple[Divergence, ...]:
    return tuple(divergence_from_json(item) for item in _list(entry, "divergence"))


def _list(entry: Draft | Entry, key: str) -> list[Json]:
    value = entry.data.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{_place(entry)} is malformed: {key} is {value!r}; expected a list")  # noqa: TRY004 - documented
    return value


def _place(entry: Draft | Entry) -> str:
    return f'"{entry.kind}" of {entry.serial} at {entry.at}'

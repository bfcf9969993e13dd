"""How the devices may move through their life, and whether the schema knows the stations."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Action, Change, DeviceState, GuardCheck, Json, Serial, Value
from reconciler.plan.decommission import asked
from reconciler.plan.marks import marks
from reconciler.plan.news import news, same
from reconciler.plan.wording import named
from reconciler.pointer import get, join, patched
from reconciler.policy import LifecycleSettings

OVERRIDE = "declare what the device held, change [lifecycle] in a reviewed change, or: --allow lifecycle"


def lived(changes: Sequence[Change], devices: Mapping[Serial, DeviceState], settings: LifecycleSettings) -> GuardCheck:
    """The rule `lifecycle`: no device moves where `transitions` has no way, and none that is frozen is changed.

    A device moves from the value that was last applied, and from the one that a PUT without an answer may have set. To
    adopt a device, to manage the field from now on or no longer, and to send again what was sent before is no move.
    Decommissioning is one, and the one change that a frozen device may see.
    """
    moves: dict[str, list[Serial]] = {}
    frozen: dict[str, list[Serial]] = {}
    pointer = join(*settings.field.split("."))
    for change in changes:
        state = devices.get(change.serial)
        if state is None or change.action in {Action.ADOPT, Action.RELEASE}:
            continue
        for move in _moves(change, state, pointer, settings.transitions):
            moves.setdefault(move, []).append(change.serial)
        value = None if change.action is Action.DECOMMISSION else frozen_as(state, settings)
        if value is not None and any(news(change, state)):
            frozen.setdefault(value, []).append(change.serial)
    said = [f"{named(serials)} would go {move}" for move, serials in moves.items()]
    said += [f"{named(serials)}: frozen, being {value} (lifecycle.frozen)" for value, serials in frozen.items()]
    if said:
        return GuardCheck("lifecycle", passed=False, message=f"{settings.field}: {'; '.join(said)}", override=OVERRIDE)
    return GuardCheck("lifecycle", passed=True, message=f"{settings.field} only moves where it may")


def frozen_as(state: DeviceState, settings: LifecycleSettings) -> str | None:
    """The value for which a device is not changed any more, if it has one."""
    held = get(state.fields, join(*settings.field.split(".")))
    return _word(held) if held is not ABSENT and _word(held) in settings.frozen else None


def strangers(settings: LifecycleSettings, patch: Mapping[str, Json] | None, schema: Json) -> Iterator[str]:
    """Values that the settings speak of and the schema's `enum` does not know, in words.

    Also that its field is a secret. What is frozen by default need not be known.
    """
    pointer = join(*settings.field.split("."))
    if isinstance(schema, dict) and marks(schema).sensitive(pointer):
        yield f"lifecycle.field is {settings.field}, which the schema marks as a secret; refusals would show its values"
    claims = [("lifecycle.transitions", value) for value in settings.transitions]
    claims += [(f"lifecycle.transitions.{key}", value) for key, ways in settings.transitions.items() for value in ways]
    if settings.frozen != LifecycleSettings().frozen:
        claims += [("lifecycle.frozen", value) for value in settings.frozen]
    stations = [_word(value) for value in _enum(schema, pointer)]
    for setting, word in claims:
        if stations and word not in stations:
            yield _unknown(setting, word, settings.field, stations)
    for name, value in (patch or {}).items():
        known = _enum(schema, join(name))
        if known and not any(same(value, item) for item in known):
            yield _unknown("on_removed.patch", _word(value), name, [_word(item) for item in known])


def _unknown(setting: str, word: str, field: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"{setting} has {word!r}, which the schema does not know as {field}; {hint}"


def _moves(
    change: Change, state: DeviceState, pointer: str, transitions: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """The moves of one device that have no way, in words."""
    if not transitions:
        return
    held, sent = get(state.fields, pointer), get(asked(state), pointer)
    goal = get(patched(state.fields, [(field.path, field.after) for field in change.fields]), pointer)
    if goal is ABSENT or same(goal, sent):
        return
    for value in (held,) if same(held, sent) else (held, sent):
        if value is ABSENT or same(value, goal):
            continue
        ways = transitions.get(_word(value))
        if ways is None:
            yield f"from {_word(value)} to {_word(goal)}, and lifecycle.transitions has no line for {_word(value)}"
        elif _word(goal) not in ways:
            yield f"from {_word(value)} to {_word(goal)}, which leads only to {', '.join(ways) or 'nothing'}"


def _word(value: Value) -> str:
    return value if isinstance(value, str) else "" if value is ABSENT else canonical(value)


def _enum(schema: Json, pointer: str) -> list[Json]:
    rule = get({"properties": schema}, "/properties")
    for key in pointer.split("/")[1:]:
        rule = get(rule, "/properties" + join(key)) if isinstance(rule, dict) else ABSENT
    known = rule.get("enum") if isinstance(rule, dict) else None
    return known if isinstance(known, list) else []

"""Whether the schema takes what a plan leads to: nothing is planned or sent that the server would refuse."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from reconciler.config import Settings
from reconciler.errors import ConfigError, InventoryError, PlanFileError
from reconciler.inventory import validate as fields
from reconciler.inventory.compile import Schema, compiled
from reconciler.inventory.document import Candidate, Finding
from reconciler.inventory.files import display
from reconciler.inventory.locate import capped, locate
from reconciler.inventory.merge import ListRules
from reconciler.inventory.schema import packaged_path, read_schema
from reconciler.model import Action, Change, Device, DeviceState, Json, Problem, Serial, Source
from reconciler.near import near
from reconciler.plan.lifecycle import strangers
from reconciler.plan.marks import Marks, marks
from reconciler.pointer import patched, split
from reconciler.policy import LifecycleSettings

NULLED = 'it left the inventory, and on_removed.field is "null"'
NO_NULL = 'restore the field, or set on_removed.field to "release": the device then keeps its value'


def marked(settings: Settings) -> Marks:
    """What the schema says about fields. Raises InventoryError without one to say so: then nothing may be shown."""
    path = settings.schema or packaged_path("device")
    match read_schema(path, display(settings.root, path)):
        case dict() as document:
            return marks(document)
        case Problem() as problem:
            raise InventoryError([problem])
        case _:
            return Marks()


def schema_at(path: Path, name: str) -> Schema | Finding | Problem:
    """The schema at `path`, called `name` in messages, made to check by; or what is wrong with it."""
    found = read_schema(path, name)
    return found if isinstance(found, Problem) else compiled(found, name)


def check_settings(settings: Settings, document: Json) -> None:
    """Raise ConfigError if the settings speak of fields or values that the schema does not know."""
    patch = settings.on_removed.decommission
    for words in (*_unknown_fields(settings, document), *strangers(settings.lifecycle, patch, document)):
        raise ConfigError(f"{settings.file or 'the settings'}: {words}")


def _unknown_fields(settings: Settings, document: Json) -> Iterator[str]:
    """Where the schema takes no others than it lists. The field of a lifecycle that is not used need not be there."""
    rules = document if isinstance(document, dict) else {}
    known = rules.get("properties", {})
    if rules.get("additionalProperties") is not False or "patternProperties" in rules or not isinstance(known, dict):
        return
    nested = settings.api.nested
    names = [("api.nested", name) for name in (nested if isinstance(nested, dict) else ())]
    names += [("on_removed.patch", name) for name in settings.on_removed.decommission or ()]
    paths = [("guard.protected", path) for path in settings.guard.protected]
    paths += [("lifecycle.field", settings.lifecycle.field)] if settings.lifecycle != LifecycleSettings() else []
    claims = [(*claim, claim[1]) for claim in names] + [(*claim, claim[1].split(".")[0]) for claim in paths]
    for setting, said, name in claims:
        if name not in known:
            meant = near(name, known)
            hint = f"did you mean {meant}?" if meant else f"there are {', '.join(known)}"
            yield f"{setting} has {said!r}, which the schema does not know; {hint}"


def irremovable(
    settings: Settings,
    changes: Iterable[Change],
    desired: Mapping[Serial, Device],
    states: Mapping[Serial, DeviceState],
) -> list[tuple[Serial, Finding]]:
    """On which devices, and where, `on_removed.field = "null"` would send a null that the schema does not take.

    What is desired is valid already; so whatever is wrong with a device now is a null in place of what was removed.
    """
    if settings.on_removed.field != "null":
        return []
    nulled = [change for change in changes if any(field.after is None for field in change.fields)]
    return _misfits(settings, nulled, desired, states)


def refuse_removals(settings: Settings, found: Iterable[tuple[Serial, Finding]]) -> None:
    """Raise InventoryError if anything is `irremovable`."""
    told = capped(
        replace(finding, code="RC412", message=f"{finding.message}; {NULLED}", fix=NO_NULL)
        for _, finding in found
        if finding.message
    )
    if told:
        paths = {item.file: settings.root / item.file for item in told}
        raise InventoryError([replace(item, excerpt="") for item in locate(told, paths)])


def check_plan(settings: Settings, changes: Iterable[Change], states: Mapping[Serial, DeviceState]) -> None:
    """Raise PlanFileError if a device would get a value that the schema does not take: the file was edited.

    Or the schema was, since the plan was made.
    """
    found = _misfits(settings, changes, {}, states)
    if found:
        more = f", and {len(found) - 1} more like it" if len(found) > 1 else ""
        said = found[0][1].message
        raise PlanFileError(
            f"this plan leads to what the schema does not take: {said}{more}; nothing was sent; plan again"
        )


def _misfits(
    settings: Settings,
    changes: Iterable[Change],
    desired: Mapping[Serial, Device],
    states: Mapping[Serial, DeviceState],
) -> list[tuple[Serial, Finding]]:
    """What is wrong with the changed fields of each device, as its change leaves it. What is not sent is let be."""
    sending = [change for change in changes if change.action is not Action.RELEASE]
    if not sending:
        return []
    schema = _schema(settings)
    check_settings(settings, schema.document)
    secret, where = marks(schema.document).sensitive, fields.spots(ListRules(), date.min)
    found: list[tuple[Serial, Finding]] = []
    for change in sending:
        candidate = _left(change, desired.get(change.serial), states.get(change.serial))
        changed = {split(field.path)[0] for field in change.fields}
        for finding in fields.validate([candidate], schema, secret, where):
            inside = split(finding.pointer.removeprefix(candidate.pointer))
            if not inside or inside[0] in changed:
                found.append((change.serial, finding))
    return found


def _left(change: Change, device: Device | None, state: DeviceState | None) -> Candidate:
    """The device as the change leaves it, at the place where it is declared."""
    held = patched(state.fields if state else {}, [(field.path, field.after) for field in change.fields])
    source = device.source if device else Source("", 1)
    where = device.layers[-1].pointer if device and device.layers else ""
    return Candidate(change.serial, {"serial_number": change.serial, **held}, source, where)


def _schema(settings: Settings) -> Schema:
    path = settings.schema or packaged_path("device")
    name = display(settings.root, path)
    schema = schema_at(path, name)
    if isinstance(schema, Schema):
        return schema
    raise InventoryError([schema] if isinstance(schema, Problem) else locate([schema], {name: path}))

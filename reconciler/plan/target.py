"""`--target`: which devices a run is about."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from reconciler.canonical import canonical
from reconciler.errors import Usage
from reconciler.model import ABSENT, DesiredState, Device, Json, Serial, Snapshot
from reconciler.near import near
from reconciler.pointer import get, join, split


def target(desired: DesiredState, snapshot: Snapshot, patterns: Iterable[str]) -> tuple[DesiredState, Snapshot]:
    """Both sides cut down to the devices that at least one pattern matches; whole if there are no patterns.

    A pattern is a serial, a glob over serials (`AP-*`), or `field=value` (`status=active`, `location=Lyon*`,
    `$labels.site=paris`, `$group=kiosks`). The last looks at the desired fields and, for devices that left the
    inventory, at the last applied ones. Of a device and the one that it replaces, either chooses both.
    Raises Usage for a pattern that matches nothing.
    """
    patterns = tuple(patterns)
    if not patterns:
        return desired, snapshot
    fields: dict[Serial, Mapping[str, Json]] = {serial: state.fields for serial, state in snapshot.devices.items()}
    fields |= {serial: _asked_of(device) for serial, device in desired.devices.items()}
    chosen: set[Serial] = set()
    for pattern in patterns:
        found = {serial for serial, values in fields.items() if matches(pattern, serial, values)}
        if not found:
            meant = _meant(pattern, fields)
            raise Usage(f"--target {pattern!r} matches no device" + (f"; did you mean {meant}?" if meant else ""))
        chosen |= found
    swaps = [(serial, device.replaces) for serial, device in desired.devices.items() if device.replaces]
    chosen |= {serial for swap in swaps if not chosen.isdisjoint(swap) for serial in swap}
    return (
        replace(desired, devices={serial: device for serial, device in desired.devices.items() if serial in chosen}),
        replace(snapshot, devices={serial: state for serial, state in snapshot.devices.items() if serial in chosen}),
    )


def _meant(pattern: str, fields: Mapping[Serial, Mapping[str, Json]]) -> str | None:
    """What matches something and was probably meant: more of a serial, where a field is, or another spelling."""
    path, equals, _ = pattern.partition("=")
    if not equals:
        more = pattern and any(serial.startswith(pattern) for serial in fields)
        return f"{pattern}*" if more else near(pattern, fields)
    known = {".".join(split(name)) for values in fields.values() for name in _paths(values)} - {path}
    inside = sorted((name for name in known if name.endswith(f".{path}")), key=lambda name: (name.count("."), name))
    tries = [name + pattern[len(path) :] for name in (*inside, near(path, known)) if name]
    return next((it for it in tries if any(matches(it, serial, values) for serial, values in fields.items())), None)


def _asked_of(device: Device) -> dict[str, Json]:
    labels: dict[str, Json] = {name: text for layer in device.layers for name, text in layer.labels.items()}
    groups: list[Json] = [layer.name.removeprefix("group ") for layer in device.layers if layer.pointer == "/set"]
    return {**device.fields, "$labels": labels, "$group": groups}


def _paths(value: Mapping[str, Json]) -> Iterator[str]:
    for key, inner in value.items():
        yield join(key)
        if isinstance(inner, dict):
            yield from (join(key) + path for path in _paths(inner))


def matches(pattern: str, serial: Serial, fields: Mapping[str, Json]) -> bool:
    """Whether `pattern` names this device. A list matches if one of its members does."""
    path, equals, wanted = pattern.partition("=")
    if not equals:
        return fnmatchcase(serial, pattern)
    value = get(fields, join(*path.split(".")))
    if value is ABSENT:
        return False
    members = value if isinstance(value, list) else [value]
    return any(fnmatchcase(item if isinstance(item, str) else canonical(item), wanted) for item in members)

"""Layers -> the fields of a device: maps merge, scalars and lists replace, unless the schema says otherwise."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Json, Layer
from reconciler.pointer import get, join, patched, related


@dataclass(frozen=True, slots=True)
class ListRules:
    """JSON Pointers of lists that merge: as sets, or item by item, known by the value of a key."""

    sets: frozenset[str] = frozenset()
    keyed: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, path: str) -> bool:
        return path in self.sets or path in self.keyed

    def __bool__(self) -> bool:
        return bool(self.sets or self.keyed)


def laid(below: Mapping[str, Json], layer: Layer, rules: ListRules, today: date) -> dict[str, Json]:
    """`below` with one more layer on top: what it unsets goes, its values come, its overrides of the day come last.

    Shares unchanged parts with both; neither is altered.
    """
    if layer.unset:
        below = patched(below, [(path, ABSENT) for path in layer.unset])
    fields = merged(below, layer.values, rules)
    active = [(item.path, item.value) for item in layer.overrides if item.until >= today]
    return patched(fields, active) if active else fields


def merged(below: Mapping[str, Json], above: Mapping[str, Json], rules: ListRules, path: str = "") -> dict[str, Json]:
    """`above` over `below`, which stands at `path`. A null is a value like any other."""
    if not below:
        return dict(above)
    result = dict(below)
    for key, value in above.items():
        old = below.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            result[key] = merged(old, value, rules, path + join(key) if rules else "")
        elif rules and isinstance(value, list) and isinstance(old, list):
            result[key] = _lists(old, value, rules, path + join(key))
        else:
            result[key] = value
    return result


def _lists(below: list[Json], above: list[Json], rules: ListRules, path: str) -> list[Json]:
    if path in rules.sets:
        present = {canonical(item) for item in below}
        return [*below, *(item for item in above if canonical(item) not in present)]
    if path not in rules.keyed:
        return above
    name = rules.keyed[path]
    result = list(below)
    at = {canonical(item[name]): index for index, item in enumerate(below) if isinstance(item, dict) and name in item}
    for item in above:
        index = at.get(canonical(item[name])) if isinstance(item, dict) and name in item else None
        old = result[index] if index is not None else None
        if index is not None and isinstance(old, dict) and isinstance(item, dict):
            result[index] = merged(old, item, ListRules())
        else:
            result.append(item)
    return result


_WORD = re.compile(r"\{(?:(serial_number)|\$labels\.([A-Za-z0-9_-]+))\}")


def templated(value: Json | Mapping[str, Json]) -> bool:
    """Whether a string in `value` is to be filled in."""
    if isinstance(value, str):
        return "{" in value and bool(_WORD.search(value))
    if isinstance(value, Mapping):
        return any(templated(inner) for inner in value.values())
    return isinstance(value, list) and any(templated(inner) for inner in value)


_NEARLY = re.compile(r"\{+\s*(?:\$[\w.$ -]*|serial[\w -]*|labels?\.[\w. -]+)\s*\}+", re.IGNORECASE)


def braced(value: Json | Mapping[str, Json]) -> bool:
    """Whether there is a brace in any text of it: without, nothing is to be filled in."""
    if isinstance(value, str):
        return "{" in value
    if isinstance(value, dict | list):
        return any(map(braced, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Mapping) and any(map(braced, value.values()))


def mistyped(layer: Layer) -> Iterable[tuple[str, str]]:
    """What looks like a word to fill in, and is none: where it stands in the file, and how it is written."""
    for _, value, place in leaves(layer):
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "{" in text:
                words = (found[0] for found in _NEARLY.finditer(text))
                yield from ((place, word) for word in words if not _WORD.fullmatch(word))


def filled(value: Json, fill: Callable[[re.Match[str], str], str], path: str = "") -> Json:
    """`value` with `{serial_number}` and `{$labels.NAME}` in its strings replaced; shares what holds none.

    `fill` is asked with the match and the pointer of the string.
    """
    if isinstance(value, str):
        return _WORD.sub(lambda found: fill(found, path), value) if "{" in value else value
    if isinstance(value, dict):
        changed = {key: new for key, old in value.items() if (new := filled(old, fill, path + join(key))) is not old}
        return {**value, **changed} if changed else value
    if isinstance(value, list):
        items = [filled(item, fill, f"{path}/{index}") for index, item in enumerate(value)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def overlaps(one: Layer, other: Layer, rules: ListRules) -> Iterable[tuple[str, str, str]]:
    """Where two layers disagree, whichever comes last: the pointer, and where each says so in its file."""
    for path, value, place in leaves(one):
        for above, against, there in leaves(other):
            agree = path == above and (path in rules or canonical(value) == canonical(against))
            if related(path, above) and not agree:
                yield path, place, there
    if one.manage and other.manage and one.manage != other.manage:
        yield "/$manage", one.pointer + "/$manage", other.pointer + "/$manage"
    for path, place in one.unset.items():
        if get(other.values, path) is not ABSENT:
            yield path, place, other.pointer + path
    for path, place in other.unset.items():
        if get(one.values, path) is not ABSENT:
            yield path, one.pointer + path, place


def leaves(layer: Layer) -> list[tuple[str, Json, str]]:
    """Every value that a layer sets: its pointer in the fields, itself, and its pointer in the file."""
    found = [(path, value, layer.pointer + path) for path, value in _leaves(layer.values, "")]
    return [*found, *((item.path, item.value, item.pointer) for item in layer.overrides)]


def _leaves(value: Mapping[str, Json], path: str) -> Iterable[tuple[str, Json]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, path + join(key))
        else:
            yield path + join(key), inner

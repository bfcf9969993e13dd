"""Which layer a value comes from, and where in that layer's file it stands. The order is that of `merge.laid`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from reconciler.inventory.merge import ListRules
from reconciler.model import ABSENT, Json, Layer, Override, Value
from reconciler.pointer import get, join, split, within

Verb = Literal["sets", "overrides", "overrode", "unsets", "locks"]
"""What a layer says about a value. `overrode`: an override whose last day is over."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one layer says about a path: `pointer` leads to it from the top of the layer's file."""

    layer: Layer
    pointer: str
    verb: Verb
    value: Value = ABSENT
    override: Override | None = None


def statements(layers: Sequence[Layer], path: str, today: date) -> Iterator[Statement]:
    """Everything that the layers say about the value at `path`, or about one around or inside it; the last wins.

    A lock comes before everything else that its layer says, and so never is the last.
    """
    for layer in layers:
        for locked, place in layer.lock.items():
            if _related(path, locked):
                yield Statement(layer, place, "locks")
        for gone, place in layer.unset.items():
            if within(path, gone):
                yield Statement(layer, place, "unsets")
        reached = spoken(layer, path)
        if reached is not None:
            yield Statement(layer, layer.pointer + reached, "sets", get(layer.values, reached))
        for item in layer.overrides:
            if _related(path, item.path):
                active = item.until >= today
                inside = _inside(item, path) if active else item.pointer
                yield Statement(layer, inside, "overrides" if active else "overrode", item.value, item)


def origin(layers: Sequence[Layer], path: str, today: date) -> Statement | None:
    """The statement that decides the value at `path`, or its absence; None if no layer says anything about it."""
    for layer in reversed(layers):
        said = [item for item in statements((layer,), path, today) if item.verb not in {"locks", "overrode"}]
        if said:
            return said[-1]
    return None


def place(layers: Sequence[Layer], path: Sequence[str | int], rules: ListRules, today: date) -> Statement | None:
    """Like `origin`, for a path that may lead into a list. An item of a merged list stands where the list does."""
    at = next((index for index, key in enumerate(path) if isinstance(key, int)), len(path))
    outer, inner = join(*path[:at]), join(*path[at:])
    whole = origin(layers, outer, today)
    if whole is None or not inner or outer in rules:
        return whole
    return Statement(whole.layer, whole.pointer + inner, whole.verb)


def spoken(layer: Layer, path: str) -> str | None:
    """How far towards `path` the plain values reach: to it, or to a value above it that replaces all; or None."""
    value: Json = dict(layer.values)
    keys = split(path)
    for depth, key in enumerate(keys):
        if not isinstance(value, dict):
            return join(*keys[:depth])
        if key not in value:
            return None
        value = value[key]
    return path


def _related(path: str, other: str) -> bool:
    return within(path, other) or within(other, path)


def _inside(item: Override, path: str) -> str:
    rest = path.removeprefix(item.path) if within(path, item.path) else ""
    return item.pointer + (rest if isinstance(item.value, dict) and get(item.value, rest) is not ABSENT else "")

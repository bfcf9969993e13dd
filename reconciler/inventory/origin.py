"""Which layer a value comes from, and where in that layer's file it stands. The order is that of `merge.laid`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from reconciler.inventory.merge import ListRules, leaves
from reconciler.model import ABSENT, Json, Layer, Override, Value, Verb
from reconciler.pointer import get, join, related, split, within


@dataclass(frozen=True, slots=True)
class Statement:
    """What one layer says about a path: `pointer` leads to it from the top of the layer's file.

    `path` is what the layer speaks of, and `value` what it says of it: that path, or one around or inside it.
    """

    layer: Layer
    pointer: str
    verb: Verb
    value: Value = ABSENT
    override: Override | None = None
    path: str = ""


def statements(layers: Sequence[Layer], path: str, today: date) -> Iterator[Statement]:
    """Everything that the layers say about the value at `path`, or about one around or inside it; the last wins.

    A lock comes before everything else that its layer says, and so never is the last.
    """
    for layer in layers:
        for locked, place in layer.lock.items():
            if related(path, locked):
                yield Statement(layer, place, "locks", path=locked)
        for gone, place in layer.unset.items():
            if related(path, gone):
                yield Statement(layer, place, "unsets", path=gone)
        reached = spoken(layer, path)
        if reached is not None:
            yield Statement(layer, layer.pointer + reached, "sets", get(layer.values, reached), path=reached)
        yield from (_overriding(layer, item, path, today) for item in layer.overrides if related(path, item.path))


def origin(layers: Sequence[Layer], path: str, today: date) -> Statement | None:
    """The statement that decides the value at `path`, or its absence; None if no layer says anything about it."""
    for layer in reversed(layers):
        if not layer.unset and not layer.overrides:  # as it is nearly everywhere: then this is all that it can say
            reached = spoken(layer, path)
            if reached is not None:
                return Statement(layer, layer.pointer + reached, "sets", get(layer.values, reached), path=reached)
            continue
        said = [item for item in _active(layer, path, today) if item.verb != "unsets" or within(path, item.path)]
        if said:
            return said[-1]
    return None


def deciding(layers: Sequence[Layer], path: str, rules: ListRules, today: date) -> tuple[Statement, ...]:
    """The statements that together make the value at `path`, or its absence, lowest first.

    That is the one of `origin`; but a list that layers add to is made by all that add, and a mapping, such as one that
    is empty by now, by all that said or took away something in it.
    """
    made: list[Statement] = []
    held: Value = ABSENT
    for item in statements(layers, path, today):
        if item.verb in {"locks", "overrode"}:
            continue
        if not within(path, item.path):
            if item.verb == "unsets" and not isinstance(held, dict):
                continue
            opens = item.verb == "overrides" and not isinstance(held, dict)
            made = [item] if opens else [*made, item]
            held = {} if opens else held
        else:
            adds = item.verb == "sets" and item.path == path and _adds(item.value, held, listed=path in rules)
            made = [*made, item] if adds else [item]
            held = item.value if item.path == path else ABSENT
    return tuple(made)


def _adds(value: Value, below: Value, *, listed: bool) -> bool:
    kind = dict if isinstance(value, dict) else list
    return isinstance(value, kind) and isinstance(below, kind) and (listed or kind is dict)


def mentioned(layers: Sequence[Layer]) -> Iterator[str]:
    """Every path that a layer says anything about, as far down as it goes; some more than once."""
    for layer in layers:
        yield from layer.lock
        yield from layer.unset
        for path, value, _ in leaves(layer):
            yield from tips(value, path) if isinstance(value, dict) else (path,)


def tips(value: Mapping[str, Json], path: str = "") -> Iterator[str]:
    """The pointers of all values in `value`, which stands at `path`, that are no mappings, or empty ones."""
    if path and not value:
        yield path
    for key, inner in value.items():
        yield from tips(inner, path + join(key)) if isinstance(inner, dict) else (path + join(key),)


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
    keys = split(path)
    if not keys or keys[0] not in layer.values:
        return None if keys else path
    value = layer.values[keys[0]]
    for depth, key in enumerate(keys[1:], 1):
        if not isinstance(value, dict):
            return join(*keys[:depth])
        if key not in value:
            return None
        value = value[key]
    return path


def _active(layer: Layer, path: str, today: date) -> list[Statement]:
    return [item for item in statements((layer,), path, today) if item.verb not in {"locks", "overrode"}]


def _overriding(layer: Layer, item: Override, path: str, today: date) -> Statement:
    """An override that is over stands where it is written, one that holds where its value for `path` does."""
    verb: Verb = "overrides" if item.until >= today else "overrode"
    rest = path.removeprefix(item.path)
    part = get({"value": item.value}, "/value" + rest) if within(path, item.path) else ABSENT
    if part is ABSENT:
        return Statement(layer, item.pointer, verb, item.value, item, item.path)
    return Statement(layer, item.pointer + (rest if verb == "overrides" else ""), verb, part, item, path)

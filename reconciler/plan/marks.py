"""What the schema says about single fields, beyond their validity."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.model import ABSENT, Json, Value
from reconciler.pointer import join, related, split, within


@dataclass(frozen=True, slots=True)
class Marks:
    """JSON Pointers of fields that compare as sets (`uniqueItems`), and of secrets (`writeOnly`).

    `merged_sets` (`x-merge: set`) and `merged_by` (`x-merge-key`, with the key) are lists that layers add to. No two
    devices have the same value at `unique` (`x-unique`); at `references` (`x-references`) are serials of others.
    `known` are all fields that the schema names.
    """

    set_like: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()
    merged_sets: frozenset[str] = frozenset()
    merged_by: Mapping[str, str] = field(default_factory=dict)
    unique: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()

    def sensitive(self, pointer: str) -> bool:
        """Whether the value at `pointer` is a secret, holds one, or is part of one."""
        return any(related(pointer, secret) for secret in self.secret)

    def hides(self, pointer: str, *values: Value) -> bool:
        """Whether any of `values`, which stand at `pointer`, is a secret, holds one, or is part of one."""
        return any(
            any(_holds(value, split(secret[len(pointer) :])) for value in values) if within(secret, pointer) else True
            for secret in self.secret
            if related(pointer, secret)
        )


def _holds(value: Value, keys: Sequence[str]) -> bool:
    """Whether there is anything at these keys. What is no mapping, where one should be, may be a misplaced secret."""
    for key in keys:
        if not isinstance(value, dict):
            return value is not ABSENT and value is not None
        if key not in value:
            return False
        value = value[key]
    return value is not ABSENT


def marks(schema: Mapping[str, Json]) -> Marks:
    """The marks in `properties`, at any depth; references and combinators are not followed."""
    found = list(_walk(schema, ()))

    def marked(word: str) -> frozenset[str]:
        return frozenset(pointer for pointer, rule in found if rule.get(word) is True)

    return Marks(
        set_like=marked("uniqueItems"),
        secret=marked("writeOnly"),
        merged_sets=frozenset(pointer for pointer, rule in found if rule.get("x-merge") == "set"),
        merged_by={pointer: key for pointer, rule in found if isinstance(key := rule.get("x-merge-key"), str)},
        unique=marked("x-unique"),
        references=marked("x-references"),
        known=frozenset(pointer for pointer, _ in found),
    )


WORDS: Mapping[str, tuple[object, ...]] = {
    "writeOnly": (True, False),
    "x-unique": (True, False),
    "x-references": (True, False),
    "x-merge": ("set",),
}
"""Words that `marks` looks for, and what may stand behind them; the key of `x-merge-key` may be any text."""


def misplaced(schema: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each word of `marks` that it does not see, or that says nothing it knows: its pointer in the schema, and why."""
    if isinstance(schema, dict):
        followed = not len(path) % 2 and not set(path[::2]) - {"properties"}
        at_data = len(path) % 2 == 1 and path[-1] == "properties"  # there, a key is the name of a field
        for word in () if at_data else (*WORDS, "x-merge-key"):
            value = schema.get(word, False)
            if value is False:
                continue
            if not followed:
                yield join(*path, word), f"this `{word}` cannot be followed"
            elif value not in WORDS[word] if word in WORDS else not isinstance(value, str):
                yield join(*path, word), f"`{word}` is {value!r}, which means nothing here"
        items: Iterator[tuple[str | int, Json]] = iter(schema.items())
    elif isinstance(schema, list):
        items = enumerate(schema)
    else:
        return
    for key, inner in items:
        yield from misplaced(inner, (*path, key))


def _walk(schema: Mapping[str, Json], path: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return
    for name, rule in properties.items():
        if isinstance(rule, dict):
            yield join(*path, name), rule
            yield from _walk(rule, (*path, name))

"""What the schema says about single fields, beyond their validity."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.model import Json
from reconciler.pointer import join, within


@dataclass(frozen=True, slots=True)
class Marks:
    """JSON Pointers of fields that compare as sets (`uniqueItems`), and of secrets (`writeOnly`)."""

    set_like: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()

    def sensitive(self, pointer: str) -> bool:
        """Whether the value at `pointer` is a secret, holds one, or is part of one."""
        return any(within(pointer, secret) or within(secret, pointer) for secret in self.secret)


def marks(schema: Mapping[str, Json]) -> Marks:
    """The marks in `properties`, at any depth; references and combinators are not followed."""
    found = list(_walk(schema, ()))
    return Marks(
        set_like=frozenset(pointer for pointer, rule in found if rule.get("uniqueItems") is True),
        secret=frozenset(pointer for pointer, rule in found if rule.get("writeOnly") is True),
    )


def misplaced(schema: Json, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Pointers into the schema of every `writeOnly` that `marks` does not see: a secret there would be shown."""
    if isinstance(schema, dict):
        if schema.get("writeOnly") is True and (len(path) % 2 or set(path[::2]) - {"properties"}):
            yield join(*path, "writeOnly")
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

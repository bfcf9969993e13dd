"""JSON Pointers (RFC 6901) into a device's fields."""

import json
import re
from collections.abc import Iterable, Mapping

from reconciler.model import ABSENT, Json, Value


def join(*keys: str | int) -> str:
    """`join("configuration", "a/b")` is `/configuration/a~1b`."""
    return "".join("/" + _escaped(str(key)) for key in keys)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def split(pointer: str) -> tuple[str, ...]:
    """The inverse of `join`, with all keys as strings."""
    keys = pointer.split("/")[1:]
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys) if "~" in pointer else tuple(keys)


def parsed(text: str) -> str:
    """The pointer that a person means by `text`: a pointer, or `configuration.channel` with keys quoted as in JSON.

    Raises ValueError for text that is neither.
    """
    if text.startswith("/"):
        return text
    keys: list[str] = []
    rest = "." + text
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise ValueError(f"{text!r} is no path; write it like configuration.channel")
        keys.append(json.loads(found[1]) if found[1].startswith('"') else found[1])
        rest = rest[found.end() :]
    return join(*keys)


_STEP = re.compile(r'\.("(?:[^"\\]|\\.)*"|[^."][^.]*)')


def get(document: Mapping[str, Json], pointer: str) -> Value:
    """The value at `pointer`, through mappings only; ABSENT if there is none."""
    keys = split(pointer)
    if not keys:
        return dict(document)
    value: Value = document.get(keys[0], ABSENT)
    for key in keys[1:]:
        if not isinstance(value, dict) or key not in value:
            return ABSENT
        value = value[key]
    return value


def within(pointer: str, other: str) -> bool:
    """Whether `pointer` is `other`, or inside it."""
    return pointer == other or pointer.startswith(other + "/")


def related(pointer: str, other: str) -> bool:
    """Whether one of the two is the other, or inside it."""
    return within(pointer, other) or within(other, pointer)


def patched(document: Mapping[str, Json], changes: Iterable[tuple[str, Value]]) -> dict[str, Json]:
    """A copy of `document` in which each pointer holds its value, or nothing for ABSENT.

    Mappings on the way are created (over anything that is not a mapping); removing what is not there does nothing.
    Shares unchanged parts with `document`, which is left as it was.
    """
    result = dict(document)
    for pointer, value in changes:
        *parents, last = split(pointer)
        target = result
        for key in parents:
            child = target.get(key)
            if not isinstance(child, dict):
                if value is ABSENT:
                    break
                child = {}
            target[key] = target = dict(child)
        else:
            if value is ABSENT:
                target.pop(last, None)
            else:
                target[last] = value
    return result

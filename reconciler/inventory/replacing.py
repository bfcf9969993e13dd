"""A device is swapped for another: the new serial number in the text of its file, and not a byte else changed. Pure."""

import re
from collections.abc import Mapping, Sequence

from reconciler.inventory.document import Parsed, Place
from reconciler.inventory.scalars import named
from reconciler.inventory.yaml_core import parse
from reconciler.model import Json
from reconciler.pointer import get, patched


def replaced(text: str, where: str, old: str, new: str, *, replaces: str) -> str:
    """`text`, whose device at the pointer `where` is `new` instead of `old`, and says that it `replaces` a device.

    Comments, order, quotes and line ends stay as they are. Raises ValueError if the serial number is written in a way
    that cannot be changed in place, such as over several lines.
    """
    bare = text.removeprefix("\ufeff")
    lines = bare.split("\n")
    parsed = parse(bare.replace("\r\n", "\n"), "", places=True)
    swaps = [(parsed.values[where + "/serial_number"], old, new)]
    if where + "/$replaces" in parsed.values:
        swaps.append((parsed.values[where + "/$replaces"], str(_at(parsed, where + "/$replaces")), replaces))
    for place, before, after in sorted(swaps, reverse=True):  # from the end, so that no place moves
        _exchange(lines, place, before, after)
    if len(swaps) == 1:
        _insert(lines, parsed, where, new, replaces)
    result = "\n".join(lines)
    _check(parsed, parse(result.replace("\r\n", "\n"), ""), where, {"serial_number": new, "$replaces": replaces})
    return text[: len(text) - len(bare)] + result


def _exchange(lines: list[str], place: Place, old: str, new: str) -> None:
    line = lines[place.line - 1]
    found = re.compile(rf"""(["']?){re.escape(old)}\1(?![\w.-])""").match(line, place.column - 1)
    if not found:
        raise ValueError
    spelled = f"{found[1]}{new}{found[1]}" if found[1] else _spelled(new)
    lines[place.line - 1] = line[: found.start()] + spelled + line[found.end() :]


def _insert(lines: list[str], parsed: Parsed, where: str, new: str, old: str) -> None:
    """Into a mapping in braces right behind the serial number, into any other on a line of its own below it."""
    key, place = parsed.keys[where + "/serial_number"], parsed.values[where + "/serial_number"]
    begin = parsed.values[where]
    line = lines[place.line - 1]
    if lines[begin.line - 1][begin.column - 1] == "{":
        end = line.index(new, place.column - 1) + len(new)
        end += line[end : end + 1] in {'"', "'"}
        lines[place.line - 1] = f"{line[:end]}, $replaces: {_spelled(old)}{line[end:]}"
    else:
        ending = "\r" if line.endswith("\r") else ""
        lines.insert(place.line, " " * (key.column - 1) + f"$replaces: {_spelled(old)}{ending}")


def _spelled(serial: str) -> str:
    """In quotes if it would not be read as text without them."""
    return f'"{serial}"' if named(serial) else serial


def _check(before: Parsed, after: Parsed, where: str, changes: Mapping[str, Json]) -> None:
    """Nothing may be different but what was to be."""
    wanted = _with(before.value, where.split("/")[1:], changes)
    if after.problems or after.value != wanted:
        raise ValueError


def _with(value: object, keys: Sequence[str], changes: Mapping[str, Json]) -> object:
    if isinstance(value, list):
        index = int(keys[0])
        return [_with(item, keys[1:], changes) if at == index else item for at, item in enumerate(value)]
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - as documented
    if keys:
        return {**value, keys[0]: _with(value[keys[0]], keys[1:], changes)}
    return patched(value, [("/" + key, text) for key, text in changes.items()])


def _at(parsed: Parsed, where: str) -> object:
    value: object = parsed.value
    for key in where.split("/")[1:]:
        value = (
            value[int(key)] if isinstance(value, list) else get(value, "/" + key) if isinstance(value, dict) else None
        )
    return value

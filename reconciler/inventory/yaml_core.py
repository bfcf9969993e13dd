"""One YAML document as JSON values: YAML 1.2 core, minus everything that would need a guess.

Built straight from libyaml's events: its constructor and composer recurse in C and die of 40,000 `[`; here depth,
duplicate keys, aliases and places are in hand, at half the cost. A good file is read once, without places; one with a
problem is read again with all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from yaml import MarkedYAMLError, YAMLError
from yaml._yaml import CParser
from yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, StreamEndEvent

from reconciler import pointer
from reconciler.inventory.characters import REPLACEMENT, forbidden
from reconciler.inventory.document import MAX_DEPTH, MAX_PROBLEMS, Parsed, Place
from reconciler.inventory.scalars import MAYBE_NOT_A_STRING, named, quoted, resolved
from reconciler.inventory.syntax_words import TAGGED, anchored, explain, joined
from reconciler.model import ABSENT, Json, Problem, Source, Value

_NOT_READ = "RC414"
_MAYBE_NO_KEY = MAYBE_NOT_A_STRING | {"<"}
_DEVICES = frozenset({1, 3})
"""The depths of devices: a file, or an item of a list in it."""


def places(value: Value, marks: Sequence[Any]) -> Callable[[str], Place | None]:
    """Tells where the value at a pointer stands in a document without problems; `marks` as in `Parsed`."""
    found: dict[str, Any] = {}
    standing = iter(marks)

    def look(value: Json, path: str) -> None:
        found[path] = next(standing)
        if isinstance(value, dict):
            for key, inner in value.items():
                look(inner, f"{path}/{key}" if "/" not in key and "~" not in key else path + pointer.join(key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                look(inner, f"{path}/{index}")

    def place(path: str) -> Place | None:
        mark = found.get(path)
        return None if mark is None else Place(mark.line + 1, mark.column + 1)

    if value is not ABSENT:
        look(value, "")
    return place


def parse(text: str, file: str, *, places: bool = False) -> Parsed:
    """Read `text`, called `file` in problems. Never raises. A BOM must be gone and lines must end in LF already."""
    if not places:
        try:
            return _parse(_Reading(text, file, places=False, quick="\\" not in text))
        except _LookCloser:
            pass
    return _parse(_Reading(text, file, places=True, quick=False))


class _LookCloser(Exception):
    """A problem was met while places were not being kept."""


class _Stop(Exception):
    """The rest of the text cannot be understood."""


_Event: TypeAlias = Any
"""libyaml's: marks, which the stubs call optional, are always there."""
_Path: TypeAlias = tuple[Any, str | int] | None
"""The keys on the way to a node, `(parent, key)`: cheap to extend, spelled out as a pointer only when needed."""


@dataclass(slots=True)
class _Reading:
    """`quick`: nobody asks for places and no text has an escape, so that most scalars are what they look like."""

    text: str
    file: str
    places: bool
    quick: bool
    next: Callable[[], _Event] = field(init=False)
    problems: list[Problem] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    values: dict[str, Place] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)
    raw: dict[str, str] = field(default_factory=dict)
    marks: list[Any] = field(default_factory=list)
    inside: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    replaced: bool = False

    def refuse(self, code: str, message: str, fix: str, at: tuple[int, int], *, path: _Path = None) -> None:
        """Record a problem; `at` counts from 0, as libyaml does. `path` leads to the stand-in, if there is one."""
        if not self.places:
            raise _LookCloser
        self.lines = self.lines or self.text.split("\n")
        line, column = at
        excerpt = self.lines[line] if line < len(self.lines) else ""
        self.problems.append(Problem(code, message, fix, Source(self.file, line + 1, column + 1), excerpt))
        if path is not None:
            self.damaged.add(_spelled(path))
        if len(self.problems) == MAX_PROBLEMS:
            message, fix = f"the file is not read beyond its first {MAX_PROBLEMS} problems", "correct these first"
            self.problems.append(Problem(_NOT_READ, message, fix, Source(self.file, line + 1, column + 1)))
            raise _Stop


def _spelled(path: _Path) -> str:
    keys: list[str | int] = []
    while path is not None:
        path, key = path
        keys.append(key)
    return pointer.join(*reversed(keys))


def _at(event: _Event) -> tuple[int, int]:
    return event.start_mark.line, event.start_mark.column


def _place(event: _Event) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _parse(reading: _Reading) -> Parsed:
    value: Value = ABSENT
    try:
        try:
            reading.next = CParser(_without_forbidden(reading)).get_event
            value = _document(reading)
        except MarkedYAMLError as error:
            message, fix, at = explain(error, reading.text)
            reading.refuse("RC201", message, fix, at)
        except YAMLError as error:
            reading.refuse("RC201", f"this is not YAML: {error}", "write the file anew, as UTF-8 text", (0, 0))
    except _Stop:
        value = ABSENT
    problems, damaged = tuple(reading.problems), frozenset(reading.damaged)
    return Parsed(value, problems, damaged, reading.values, reading.keys, reading.raw, reading.marks, reading.inside)


def _without_forbidden(reading: _Reading) -> str:
    """The text, with each forbidden character recorded once and replaced, so that reading can go on."""
    text = reading.text
    for character, name in forbidden(text):
        index, more = text.index(character), text.count(character) - 1
        also = f" (and {more} more in this file)" if more else ""
        message = f"the file holds {name}{also}, which does not show or changes how the rest is shown"
        fix = "delete it; editors show it with their setting for invisible characters"
        reading.refuse("RC211", message, fix, (text.count("\n", 0, index), index - text.rfind("\n", 0, index) - 1))
        reading.replaced = True
        text = text.replace(character, REPLACEMENT)
    return text


def _document(reading: _Reading) -> Value:
    reading.next()
    event = reading.next()
    if type(event) is StreamEndEvent:
        return ABSENT
    if event.version not in {None, (1, 2)} or event.tags:
        reading.refuse("RC205", "files are read as YAML 1.2 without tags", "delete the line with the %", _at(event))
    value = _node(reading, reading.next(), None, 1)
    reading.next()
    event = reading.next()
    if type(event) is not StreamEndEvent:
        message = "the file holds more than one YAML document"
        fix = "give each device a file of its own, or write them all as a list under `devices:`"
        reading.refuse("RC206", message, fix, _at(event))
    return value


def _node(reading: _Reading, event: _Event, path: _Path, depth: int) -> Json:
    kind = type(event)
    reading.marks.append(event.start_mark)
    if kind is AliasEvent:
        message = f"*{event.anchor} is an alias; the values of a device stand in its file, in plain sight"
        fix = "write the value out here; to begin text with *, quote it"
        reading.refuse("RC203", message, fix, _at(event), path=path)
        return None
    if event.anchor is not None or event.tag is not None:
        _refuse_properties(reading, event, path)
    if reading.places or (kind is MappingStartEvent and depth in _DEVICES):
        reading.values[_spelled(path)] = _place(event)
    if kind is ScalarEvent:
        return _scalar(reading, event, path)
    if depth > MAX_DEPTH:
        reading.refuse("RC210", f"values are nested more than {MAX_DEPTH} deep", "flatten them", _at(event), path=path)
        raise _Stop
    return (_mapping if kind is MappingStartEvent else _sequence)(reading, path, depth)


def _sequence(reading: _Reading, path: _Path, depth: int) -> list[Json]:
    result: list[Json] = []
    get, mark, quick = reading.next, reading.marks.append, reading.quick
    while type(event := get()) is not SequenceEndEvent:
        if quick and type(event) is ScalarEvent and event.anchor is None and event.tag is None:
            text: str = event.value
            if text[:1] not in MAYBE_NOT_A_STRING or not event.implicit[0]:
                mark(event.start_mark)
                result.append(text)
                continue
        result.append(_node(reading, event, (path, len(result)), depth + 1))
    return result


def _mapping(reading: _Reading, path: _Path, depth: int) -> dict[str, Json]:
    result: dict[str, Json] = {}
    get, mark, quick = reading.next, reading.marks.append, reading.quick
    inside: dict[str, Any] = {}
    if depth in _DEVICES:
        reading.inside[_spelled(path)] = inside
    while type(event := get()) is not MappingEndEvent:
        key: str = event.value if type(event) is ScalarEvent else ""
        if not quick or key[:1] in _MAYBE_NO_KEY or event.anchor is not None or event.tag is not None:
            key = _key(reading, event, path, depth)
        if key in result:
            _refuse_duplicate(reading, event, (path, key))
        if reading.places:
            reading.keys.setdefault(_spelled((path, key)), _place(event))
        named = event
        event = get()
        inside[key] = event.start_mark
        if quick and type(event) is ScalarEvent and event.anchor is None and event.tag is None:
            text: str = event.value
            if text[:1] not in MAYBE_NOT_A_STRING or not event.implicit[0]:
                mark(event.start_mark)
                result[key] = text
                continue
        value = result[key] = _node(reading, event, (path, key), depth + 1)
        if value is None and ":" in key and named.implicit[0] and type(event) is ScalarEvent and not event.value:
            reading.refuse("RC212", *joined(key), _at(named), path=(path, key))
    return result


def _key(reading: _Reading, event: _Event, path: _Path, depth: int) -> str:
    if type(event) is not ScalarEvent:
        message = "a key must be a string; this one is a list, a mapping or an alias"
        fix = "write the key as plain text; to begin a value with [, {, * or &, quote it"
        reading.refuse("RC207", message, fix, _at(event), path=(path, "?"))
        _node(reading, event, (path, "?"), depth + 1)
        return "?"
    text: str = event.value
    if event.anchor is not None or event.tag is not None:
        _refuse_properties(reading, event, (path, text))
    if event.implicit[0]:
        if text == "<<":
            fix = 'write the values out here; to mean a key of that name, quote it: "<<"'
            reading.refuse("RC204", "merge keys are not used here", fix, _at(event), path=(path, text))
        elif text[:1] in MAYBE_NOT_A_STRING and (kind := named(text)):
            message = f"the key {text or '(nothing)'} reads as {kind}; a key must be a string"
            reading.refuse("RC207", message, f"write it in quotes: {quoted(text)}", _at(event), path=(path, text))
    elif event.style == '"':
        _refuse_escapes(reading, event, (path, text))
    if reading.replaced and REPLACEMENT in text:
        reading.damaged.add(_spelled((path, text)))
    return text


def _scalar(reading: _Reading, event: _Event, path: _Path) -> Json:
    text: str = event.value
    if reading.replaced and REPLACEMENT in text:
        reading.damaged.add(_spelled(path))
    if not event.implicit[0]:
        if event.style == '"':
            _refuse_escapes(reading, event, path)
        return text
    if text[:1] not in MAYBE_NOT_A_STRING:
        return text
    try:
        value = resolved(text)
    except ValueError as error:
        code, message, fix = error.args
        reading.refuse(code, message, fix, _at(event), path=path)
        return text
    if reading.places and type(value) is not str:
        reading.raw[_spelled(path)] = text
    return value


def _refuse_properties(reading: _Reading, event: _Event, path: _Path) -> None:
    if event.anchor is not None:
        reading.refuse("RC203", *anchored(event.anchor), _at(event))
    if event.tag is not None:
        reading.refuse("RC205", *TAGGED, _at(event), path=path)


def _refuse_duplicate(reading: _Reading, event: _Event, path: tuple[_Path, str]) -> None:
    first = reading.keys.get(_spelled(path), _place(event))
    message = f"{quoted(path[1])} is already set at {reading.file}:{first.line}:{first.column}"
    reading.refuse("RC202", message, "keep one of the two", _at(event))


def _refuse_escapes(reading: _Reading, event: _Event, path: _Path) -> None:
    for _, name in forbidden(event.value):
        message = f"an escape in this text stands for {name}, which does not show or changes how the rest is shown"
        reading.refuse("RC211", message, "delete the escape", _at(event), path=path)

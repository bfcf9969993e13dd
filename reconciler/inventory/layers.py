"""One mapping of a file -> a layer: its values, and the `$` words that speak to the reconciler."""

from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from typing import get_args

from reconciler import pointer
from reconciler.inventory.characters import forbidden
from reconciler.inventory.document import MAX_DEPTH, Finding
from reconciler.inventory.wording import kind
from reconciler.model import Json, Layer, Manage, Override

WORDS = ("$labels", "$unset", "$lock", "$override", "$manage", "$replaces")
"""Keys that are never sent, and what they may be called: docs/inventory.md explains each."""


def layer(
    name: str, file: str, where: str, value: Mapping[str, Json], *, plain: bool = False
) -> tuple[Layer, list[Finding]]:
    """The layer that the mapping at `where` is, and what is wrong with its `$` words. `serial_number` is no value.

    `plain` as in Document.
    """
    if plain:
        values = dict(value)
        values.pop("serial_number", None)
        return Layer(name, file, where, values, plain=True), []
    values = {key: inner for key, inner in value.items() if key[:1] != "$" and key != "serial_number"}
    deep = ((key, inner) for key, inner in values.items() if isinstance(inner, (dict, list)))
    findings = [item for key, inner in deep for item in _misplaced(file, where, inner, (key,))]
    if len(values) + ("serial_number" in value) == len(value):
        return Layer(name, file, where, values), findings
    findings += _unknown_words(file, where, value)
    labels, wrong = _labels(file, where, value.get("$labels", {}))
    findings += wrong
    unset, wrong = _paths(file, where, "$unset", value.get("$unset", []))
    findings += wrong
    lock, wrong = _paths(file, where, "$lock", value.get("$lock", []))
    findings += wrong
    overrides, wrong = _overrides(file, where, value.get("$override", {}))
    findings += wrong
    manage = value.get("$manage")
    if "$manage" in value and manage not in get_args(Manage):
        message = f"$manage is {kind(manage)}; expected apply, observe or pause"
        close = get_close_matches(manage, get_args(Manage), 1) if isinstance(manage, str) else []
        fix = f"did you mean {close[0]}?" if close else "write one of the three"
        findings.append(Finding("RC604", message, fix, file, where + "/$manage"))
        manage = None
    return Layer(name, file, where, values, labels, unset, lock, tuple(overrides), manage), findings  # type: ignore[arg-type]  # one of Manage by now


def _unknown_words(file: str, where: str, value: Mapping[str, Json]) -> Iterator[Finding]:
    for key in value:
        if key[:1] == "$" and key not in WORDS:
            close = get_close_matches(key, WORDS, 1)
            fix = f"did you mean {close[0]}?" if close else f"rename it; the words are {', '.join(WORDS)}"
            message = f"{key} is not a word of the reconciler, and keys that begin with $ are never sent"
            yield Finding("RC404", message, fix, file, where + pointer.join(key), at_key=True)


def _misplaced(file: str, where: str, value: Json, keys: tuple[str | int, ...]) -> Iterator[Finding]:
    """Keys that begin with `$` inside of values: they speak to the reconciler, so they cannot be data."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key[:1] == "$":
                message = f"{key}: keys that begin with $ are reserved, and mean nothing inside of a value"
                fix = "move it up to the device's own fields" if key in WORDS else "rename the key"
                yield Finding("RC404", message, fix, file, where + pointer.join(*keys, key), at_key=True)
            if isinstance(inner, (dict, list)):
                yield from _misplaced(file, where, inner, (*keys, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, (dict, list)):
                yield from _misplaced(file, where, inner, (*keys, index))


def _labels(file: str, where: str, value: Json) -> tuple[dict[str, str], list[Finding]]:
    fix = "write it like $labels: {region: fr, site: paris}"
    if not isinstance(value, dict):
        return {}, [Finding("RC601", f"$labels is {kind(value)}; expected a mapping", fix, file, where + "/$labels")]
    labels, findings = {}, []
    for name, text in value.items():
        if isinstance(text, str) and text:
            labels[name] = text
        else:
            place = where + pointer.join("$labels", name)
            message = f"the label {name} is {kind(text)}; expected text"
            findings.append(Finding("RC601", message, fix, file, place, unquoted=True))
    return labels, findings


def _paths(file: str, where: str, word: str, value: Json) -> tuple[dict[str, str], list[Finding]]:
    fix = f"write it like {word}: [configuration.channel]"
    if not isinstance(value, list):
        return {}, [
            Finding("RC602", f"{word} is {kind(value)}; expected a list of paths", fix, file, f"{where}/{word}")
        ]
    found, findings = {}, []
    for index, text in enumerate(value):
        place = f"{where}/{word}/{index}"
        path = _path(text)
        if path:
            found[path] = place
        else:
            findings.append(Finding("RC602", f"{word}: item {index + 1} is no path to a field", fix, file, place))
    return found, findings


def _overrides(file: str, where: str, value: Json) -> tuple[list[Override], list[Finding]]:
    fix = "write it like $override: {configuration.channel: {value: 6, until: 2027-01-31, reason: radar nearby}}"
    top = where + "/$override"
    if not isinstance(value, dict):
        return [], [Finding("RC603", f"$override is {kind(value)}; expected a mapping", fix, file, top)]
    overrides, findings = [], []
    for text, given in value.items():
        place = top + pointer.join(text)
        path = _path(text)
        if not path:
            findings.append(Finding("RC603", f"$override: {text} is no path to a field", fix, file, place, at_key=True))
            continue
        if not isinstance(given, dict):
            message = f"the override of {text} is {kind(given)}; expected value, until and reason"
            findings.append(Finding("RC603", message, fix, file, place))
            continue
        wrong = list(_wrong_override(text, given))
        findings += [Finding("RC603", message, fix, file, place + pointer.join(key)) for key, message in wrong]
        findings += _misplaced(file, place + "/value", given.get("value"), ())
        if not wrong:
            until = date.fromisoformat(str(given["until"]))
            overrides.append(Override(path, given["value"], until, str(given["reason"]), place + "/value"))
    return overrides, findings


def _wrong_override(text: str, given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for key in given:
        if key not in {"value", "until", "reason"}:
            yield key, f"{key} means nothing in an override; it has value, until and reason"
    if "value" not in given:
        yield "value", f"the override of {text} has no value"
    reason = given.get("reason")
    if not (isinstance(reason, str) and reason.strip()):
        yield "reason", f"the override of {text} has no reason; say why, for whoever finds it"
    if "until" not in given:
        yield "until", f"the override of {text} has no until, the last day on which it holds"
    elif not _is_day(given["until"]):
        yield (
            "until",
            f"until is {kind(given['until'])} that is no day; expected the last day on which it holds, as YYYY-MM-DD",
        )


def _is_day(value: Json) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _path(text: Json) -> str | None:
    """The pointer that a text means; None for what is none, or leads where no key of a file may."""
    try:
        path = pointer.parsed(text) if isinstance(text, str) else ""
    except ValueError:
        return None
    keys = pointer.split(path)
    if not keys or keys[0] == "serial_number" or len(keys) > MAX_DEPTH // 2:
        return None
    return None if any(key.startswith("$") or any(forbidden(key)) for key in keys) else path

"""Candidates x schema -> findings: which values the API would not take, and which keys must not be sent at all."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler import pointer
from reconciler.inventory.compile import Schema
from reconciler.inventory.document import MAX_PROBLEMS, MORE, Candidate, Finding, steps
from reconciler.inventory.layers import WORDS
from reconciler.inventory.merge import ListRules
from reconciler.inventory.origin import place
from reconciler.inventory.wording import DESCRIBED, expected, repeated, shown
from reconciler.model import NEVER_SENT, READ_ONLY, Json, Serial

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

_CODES = {
    "type": "RC405",
    "enum": "RC406",
    "const": "RC406",
    "format": "RC407",
    "uniqueItems": "RC408",
    "pattern": "RC409",
}
_AS_IN = {
    "email": "write it as in john.doe@company.com",
    "date": "write a day of the calendar as in 2024-01-15",
    "date-time": "write it as in 2024-01-15T09:30:00Z, with its time zone",
}


Locate = Callable[[Candidate, Sequence[str | int]], "Spot"]
"""Where the value at a path of a candidate stands."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file, and what messages call the value there; `device` as in Finding."""

    file: str
    pointer: str
    label: str
    device: Serial | None = None

    def finding(self, code: str, message: str, fix: str, *, at_key: bool = False, unquoted: bool = False) -> Finding:
        """What is wrong there."""
        return Finding(
            code, message, fix, self.file, self.pointer, at_key=at_key, unquoted=unquoted, device=self.device
        )


def spots(rules: ListRules, today: date) -> Locate:
    """How to find the layer that a value comes from."""

    def locate(candidate: Candidate, path: Sequence[str | int]) -> Spot:
        said = place(candidate.layers, path, rules, today) if path and len(candidate.layers) > 1 else None
        own = candidate.layers[-1] if candidate.layers else None
        if said is None or said.layer is own:
            where = said.pointer if said else candidate.pointer + pointer.join(*path)
            return Spot(candidate.source.file, where, candidate.label(*path))
        return Spot(said.layer.file, said.pointer, steps(path).removeprefix("."), candidate.serial)

    return locate


def validate(
    candidates: Iterable[Candidate], schema: Schema, hidden: Callable[[str], bool], locate: Locate
) -> list[Finding]:
    """Everything wrong with the fields of the candidates: a quick yes or no first, and words only for a no.

    Words cost more than anything else here: a line that devices share has them once, and after MAX_PROBLEMS of one file
    findings have none and only count. `hidden` says which pointers into a device are secrets, whose values are not to
    be repeated.
    """
    findings: list[Finding] = []
    spelled: Counter[str] = Counter()
    shared: set[tuple[str, str]] = set()
    is_valid = schema.validator.is_valid
    for candidate in candidates:
        value = candidate.value
        if NEVER_SENT.isdisjoint(value) and is_valid(value):
            continue
        never_sent = [_never_sent(locate(candidate, [key]), key) for key in value if key in NEVER_SENT]
        told = {(finding.file, finding.pointer) for finding in never_sent}
        findings += never_sent
        for error in schema.validator.iter_errors(value):
            if _is_hopeless(error):
                return [*findings, _hopeless_pattern(error, schema)]
            for spot, worded in _findings(candidate, error, schema, hidden, locate):
                where = (spot.file, spot.pointer)
                if where in told:
                    continue
                told.add(where)
                if where in shared or spelled[spot.file] >= MAX_PROBLEMS:
                    findings.append(spot.finding(MORE, "", ""))
                    continue
                findings.append(worded())
                spelled[spot.file] += 1
                if spot.device:
                    shared.add(where)
    return findings


def _never_sent(spot: Spot, key: str) -> Finding:
    if key in READ_ONLY:
        message = f"{spot.label} belongs to the server, which sets it by itself"
        return spot.finding("RC402", message, "delete this line", at_key=True)
    message = f"{spot.label} would make newer servers execute it (reboot, factory reset), again on every change"
    fix = "delete this line; start operations in the device console, they are not a state to declare"
    return spot.finding("RC403", message, fix, at_key=True)


def _is_hopeless(error: "ValidationError") -> bool:
    from jsonschema_rs import ValidationErrorKind as Kind

    return isinstance(error.kind, (Kind.BacktrackLimitExceeded, Kind.RegexEngineFailure))


def _hopeless_pattern(error: "ValidationError", schema: Schema) -> Finding:
    rule = _at(schema.document, error.schema_path)
    message = f"the pattern {json.dumps(rule, ensure_ascii=False)} takes too long on some text; it backtracks"
    fix = "write it without look-around, back-references and nested repetition"
    return Finding("RC505", message, fix, schema.file, pointer.join(*error.schema_path))


def _findings(
    candidate: Candidate, error: "ValidationError", schema: Schema, hidden: Callable[[str], bool], locate: Locate
) -> Iterator[tuple[Spot, Callable[[], Finding]]]:
    """Where each finding of an error is, and a way to put it into words."""
    from jsonschema_rs import ValidationErrorKind as Kind

    path = error.instance_path
    rule = _at(schema.document, error.schema_path[:-1])
    rule = rule if isinstance(rule, dict) else {}
    match error.kind:
        case Kind.AdditionalProperties(unexpected) | Kind.UnevaluatedProperties(unexpected):
            for key in unexpected:
                spot = locate(candidate, [*path, key])
                yield spot, partial(_stranger, spot, key, rule.get("properties", {}))
        case Kind.FalseSchema():
            spot = locate(candidate, path)
            message = f"{spot.label} is not allowed by the schema"
            yield spot, partial(spot.finding, "RC401", message, "delete this line", at_key=True)
        case Kind.Required(property=key):
            where = candidate.pointer + pointer.join(*path, key)
            spot = Spot(candidate.source.file, where, candidate.label(*path))
            yield spot, lambda: spot.finding("RC411", f"{spot.label} has no {key}", _missing(candidate, key))
        case Kind.PropertyNames(error=inner):
            spot = locate(candidate, path)
            message = f"{spot.label} has a key that the schema does not allow: {inner.message}"
            yield spot, partial(spot.finding, "RC401", message, "rename the key")
        case _:
            spot = locate(candidate, path)
            yield spot, partial(_value_finding, spot, error, rule, secret=hidden(pointer.join(*path)))


def _stranger(spot: Spot, key: str, properties: dict[str, Any]) -> Finding:
    message = f"{spot.label} is not a field that the schema knows"
    return spot.finding("RC401", message, _similar(key, properties), at_key=True)


def _missing(candidate: Candidate, key: str) -> str:
    """All the files that could have said it."""
    others = list(dict.fromkeys(item.file for item in candidate.layers[:-1] if item.file != candidate.source.file))
    return f"add `{key}: …`" + (f" here, or for more devices in {', '.join(reversed(others))}" if others else "")


def _value_finding(spot: Spot, error: "ValidationError", rule: dict[str, Any], *, secret: bool) -> Finding:
    """The words are ours: the validator's own repeat the value, which may hold a secret."""
    from jsonschema_rs import ValidationErrorKind as Kind

    kind = error.kind
    value: Any = error.instance
    what = "a value that is not shown" if secret else shown(value)
    fix = ""
    words = f"is {what}; expected {expected(rule)}"
    if isinstance(kind, Kind.UniqueItems):
        words = f"holds {'an item' if secret else shown(repeated(value))} twice"
        fix = "delete one of the two"
    elif kind.name not in DESCRIBED or not expected(rule):
        words = f'breaks the rule "{kind.name}" of the schema'
    elif isinstance(kind, Kind.Enum):
        fix = _choice(value, kind.options)
    elif isinstance(kind, Kind.Format):
        fix = _AS_IN.get(kind.format, "")
    elif isinstance(kind, Kind.Type):
        fix = _typed(value, kind.types)
    return spot.finding(
        _CODES.get(kind.name, "RC410"),
        f"{spot.label} {words}",
        fix or "correct the value; if it is right, change the schema",
        unquoted=isinstance(kind, Kind.Type) and "string" in kind.types and value is not None and not secret,
    )


def _similar(key: str, properties: dict[str, Any]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, properties, 1) or get_close_matches(key.lower().replace("-", "_"), properties, 1)
    if close:
        return f'did you mean "{close[0]}"?'
    if f"${key}" in WORDS:
        return f'did you mean "${key}"?'
    known = ", ".join(properties)
    return (
        f"write it under custom_fields, or add it to the schema; known here: {known}" if known else "delete this line"
    )


def _choice(value: Json, options: list[Any]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(str(value).lower(), [str(option) for option in options], 1)
    return f"did you mean {close[0]}?" if close else "choose one of these, or add yours to the schema"


def _typed(value: Json, types: list[str]) -> str:
    if isinstance(value, str) and "boolean" in types:
        if value.lower() in {"true", "false"}:
            return f"write {value.lower()}, without quotes"
        if value.lower() in {"yes", "on", "no", "off"}:
            return f"write {'true' if value.lower() in {'yes', 'on'} else 'false'}: {value} is text in YAML 1.2"
    if isinstance(value, str) and ("integer" in types or "number" in types):
        return "write a number, without quotes"
    if value is None:
        return "write a value, or delete this line"
    if types == ["array"]:
        return "write it as a list: [a, b]"
    return ""


def _at(document: Any, path: Iterable[str | int]) -> Any:  # noqa: ANN401 - a schema is any JSON
    """What stands at `path` in the schema; None if it leads nowhere (below an `$id` of its own)."""
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document

"""Candidates x schema -> findings: which values the API would not take, and which keys must not be sent at all."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from reconciler import pointer
from reconciler.inventory.compile import Schema
from reconciler.inventory.document import MORE, Candidate, Finding
from reconciler.inventory.wording import DESCRIBED, expected, repeated, shown
from reconciler.inventory.yaml_core import MAX_PROBLEMS
from reconciler.model import Json

READ_ONLY = frozenset({"id", "created_at", "updated_at", "last_seen"})
EXECUTED = frozenset({"operation", "operation_type"})
_NEVER_SENT = READ_ONLY | EXECUTED
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


def validate(candidates: Iterable[Candidate], schema: Schema, hidden: Callable[[str], bool]) -> list[Finding]:
    """Everything wrong with the fields of the candidates: a quick yes or no first, and words only for a no.

    Words cost more than anything else here: after MAX_PROBLEMS of one file, findings have none and only count.
    `hidden` says which pointers into a device are secrets, whose values are not to be repeated.
    """
    findings: list[Finding] = []
    spelled: Counter[str] = Counter()
    is_valid = schema.validator.is_valid
    for candidate in candidates:
        value = candidate.value
        if _NEVER_SENT.isdisjoint(value) and is_valid(value):
            continue
        never_sent = [_never_sent(candidate, key) for key in value if key in _NEVER_SENT]
        told = {finding.pointer for finding in never_sent}
        findings += never_sent
        for error in schema.validator.iter_errors(value):
            if isinstance(error.kind, (Kind.BacktrackLimitExceeded, Kind.RegexEngineFailure)):
                return [*findings, _hopeless_pattern(error, schema)]
            file, worded = candidate.source.file, _findings(candidate, error, schema, hidden)
            for where in _pointers(candidate, error):
                room = spelled[file] < MAX_PROBLEMS
                finding = next(worded) if room else Finding(MORE, "", "", file, where)
                if where not in told:
                    told.add(where)
                    spelled[file] += 1
                    findings.append(finding)
    return findings


def _never_sent(candidate: Candidate, key: str) -> Finding:
    file, where = candidate.source.file, candidate.pointer + pointer.join(key)
    if key in READ_ONLY:
        message = f"{candidate.label(key)} belongs to the server, which sets it by itself"
        return Finding("RC402", message, "delete this line", file, where, at_key=True)
    message = (
        f"{candidate.label(key)} would make newer servers execute it (reboot, factory reset), again on every change"
    )
    fix = "delete this line; start operations in the device console, they are not a state to declare"
    return Finding("RC403", message, fix, file, where, at_key=True)


def _hopeless_pattern(error: ValidationError, schema: Schema) -> Finding:
    rule = _at(schema.document, error.schema_path)
    message = f"the pattern {json.dumps(rule, ensure_ascii=False)} takes too long on some text; it backtracks"
    fix = "write it without look-around, back-references and nested repetition"
    return Finding("RC505", message, fix, schema.file, pointer.join(*error.schema_path))


def _pointers(candidate: Candidate, error: ValidationError) -> Iterator[str]:
    """Where the findings are that `_findings` has for the same error, in the same order."""
    where = candidate.pointer + pointer.join(*error.instance_path)
    match error.kind:
        case Kind.AdditionalProperties(unexpected) | Kind.UnevaluatedProperties(unexpected):
            yield from (where + pointer.join(key) for key in unexpected)
        case Kind.Required(property=key):
            yield where + pointer.join(key)
        case _:
            yield where


def _findings(
    candidate: Candidate, error: ValidationError, schema: Schema, hidden: Callable[[str], bool]
) -> Iterator[Finding]:
    path = error.instance_path
    where = candidate.pointer + pointer.join(*path)
    file = candidate.source.file
    rule = _at(schema.document, error.schema_path[:-1])
    rule = rule if isinstance(rule, dict) else {}
    match error.kind:
        case Kind.AdditionalProperties(unexpected) | Kind.UnevaluatedProperties(unexpected):
            for key in unexpected:
                message = f"{candidate.label(*path, key)} is not a field that the schema knows"
                fix = _similar(key, rule.get("properties", {}))
                yield Finding("RC401", message, fix, file, where + pointer.join(key), at_key=True)
        case Kind.FalseSchema():
            message = f"{candidate.label(*path)} is not allowed by the schema"
            yield Finding("RC401", message, "delete this line", file, where, at_key=True)
        case Kind.Required(property=key):
            message = f"{candidate.label(*path)} has no {key}"
            yield Finding("RC411", message, f"add `{key}: …`", file, where + pointer.join(key))
        case Kind.PropertyNames(error=inner):
            message = f"{candidate.label(*path)} has a key that the schema does not allow: {inner.message}"
            yield Finding("RC401", message, "rename the key", file, where)
        case _:
            yield _value_finding(candidate, error, rule, secret=hidden(pointer.join(*path)))


def _value_finding(candidate: Candidate, error: ValidationError, rule: dict[str, Any], *, secret: bool) -> Finding:
    """The words are ours: the validator's own repeat the value, which may hold a secret."""
    path, kind = error.instance_path, error.kind
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
    return Finding(
        _CODES.get(kind.name, "RC410"),
        f"{candidate.label(*path)} {words}",
        fix or "correct the value; if it is right, change the schema",
        candidate.source.file,
        candidate.pointer + pointer.join(*path),
        unquoted=isinstance(kind, Kind.Type) and "string" in kind.types and not secret,
    )


def _similar(key: str, properties: dict[str, Any]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, properties, 1) or get_close_matches(key.lower().replace("-", "_"), properties, 1)
    if close:
        return f'did you mean "{close[0]}"?'
    known = ", ".join(properties)
    return (
        f"write it under custom_fields, or add it to the schema; known here: {known}" if known else "delete this line"
    )


def _choice(value: Json, options: list[Any]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(str(value).lower(), [str(option) for option in options], 1)
    return f"did you mean {close[0]}?" if close else "choose one of these, or add yours to the schema"


def _typed(value: Json, types: list[str]) -> str:
    if isinstance(value, str) and "boolean" in types and value.lower() in {"yes", "no", "on", "off", "true", "false"}:
        return f"write {'true' if value.lower() in {'yes', 'on', 'true'} else 'false'}, without quotes"
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

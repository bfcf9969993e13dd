"""Values and schema rules in words that fit a sentence: `"abc"`, `an integer from 1 to 4094`."""

import json
from collections.abc import Mapping
from typing import Any

from reconciler.model import Json

_SHOWN = 60
_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}
_FORMATS = {
    "email": "an e-mail address",
    "date": "a date as YYYY-MM-DD",
    "date-time": "a time as YYYY-MM-DDTHH:MM:SSZ",
    "time": "a time of day as HH:MM:SSZ",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "hostname": "a host name",
    "uri": "a URI",
    "uuid": "a UUID",
}

DESCRIBED = frozenset(
    {
        *("type", "enum", "const", "format", "pattern", "anyOf", "oneOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    }
)
"""The keywords that `expected` puts into words."""


def shown(value: Json) -> str:
    """A value as JSON, cut if it is long; collections by their size."""
    match value:
        case dict():
            return f"a mapping of {len(value)}"
        case list():
            return f"a list of {len(value)}"
        case str() if len(value) > _SHOWN:
            return json.dumps(value[: _SHOWN - 1] + "…", ensure_ascii=False)
        case _:
            return json.dumps(value, ensure_ascii=False)


def kind(value: Json) -> str:
    """What a value is, without showing it: it may be a secret that stands in the wrong place."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case str():
            return "text"
        case dict() | list():
            return shown(value)
        case _:
            return "a number"


def expected(rule: Mapping[str, Any]) -> str:
    """What a schema rule asks for, in words; "" if it has none that we know."""
    if "const" in rule:
        return shown(rule["const"])
    if isinstance(rule.get("enum"), list):
        return "one of " + ", ".join(
            str(option) if isinstance(option, str) else shown(option) for option in rule["enum"]
        )
    forms = rule.get("anyOf") or rule.get("oneOf")
    if isinstance(forms, list):
        alternatives = [expected(form) if isinstance(form, Mapping) else "" for form in forms]
        return " or ".join(alternatives) if all(alternatives) else ""
    types = rule.get("type", [])
    names = [_TYPES[name] for name in ([types] if isinstance(types, str) else types)]
    if "format" in rule:
        words = _FORMATS.get(rule["format"], f'text in the format "{rule["format"]}"')
        names = [words if name == "a string" else name for name in names] or [words]
    extras = [text for text in (_range(rule), _size(rule), _text(rule)) if text]
    kind = " or ".join(names) or ("a value" if extras else "")
    return " ".join((kind, *extras)) if kind else ""


def repeated(items: list[Json]) -> Json:
    """The first item that is in `items` twice, numbers compared by value; None if there is none."""
    seen: set[str] = set()
    for item in items:
        number = isinstance(item, float) and item.is_integer()
        spelled = json.dumps(int(item) if number and isinstance(item, float) else item, sort_keys=True)
        if spelled in seen:
            return item
        seen.add(spelled)
    return None


def _range(rule: Mapping[str, Any]) -> str:
    low, high = rule.get("minimum"), rule.get("maximum")
    parts = [f"from {low} to {high}"] if low is not None and high is not None else []
    if not parts:
        parts += [f"of at least {low}"] if low is not None else []
        parts += [f"of at most {high}"] if high is not None else []
    parts += [f"above {rule['exclusiveMinimum']}"] if "exclusiveMinimum" in rule else []
    parts += [f"below {rule['exclusiveMaximum']}"] if "exclusiveMaximum" in rule else []
    parts += [f"that is a multiple of {rule['multipleOf']}"] if "multipleOf" in rule else []
    return " ".join(parts)


def _size(rule: Mapping[str, Any]) -> str:
    for few, many, unit in (
        ("minLength", "maxLength", "character"),
        ("minItems", "maxItems", "item"),
        ("minProperties", "maxProperties", "key"),
    ):
        low, high = rule.get(few), rule.get(many)
        if low is not None and high is not None:
            return f"of {low} to {high} {unit}s"
        if low is not None:
            return f"of at least {low} {unit}{'' if low == 1 else 's'}"
        if high is not None:
            return f"of at most {high} {unit}{'' if high == 1 else 's'}"
    return ""


def _text(rule: Mapping[str, Any]) -> str:
    return f"that matches {rule['pattern']}" if "pattern" in rule else ""

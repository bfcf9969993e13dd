"""A schema -> a validator that fetches nothing and never hangs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler import pointer
from reconciler.inventory.document import Finding
from reconciler.model import Json

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_BACKTRACKS = 10_000
"""Steps back that a pattern may take on one text; patterns without look-around and back-references need none."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that compiles. `file` is its name in messages."""

    document: dict[str, Any]
    validator: "Draft202012Validator"
    file: str


def compiled(document: Json, file: str) -> Schema | Finding:
    """A validator for `document`: formats are enforced, unknown ones refused, nothing is ever fetched."""
    import jsonschema_rs

    if not isinstance(document, dict):
        return Finding("RC503", "the schema is not a JSON object", "begin from schemas/device.schema.json", file, "")
    if str(document.get("$schema", _DRAFT)).rstrip("#") != _DRAFT:
        message = f"the schema is written for {document['$schema']}; this program reads draft 2020-12"
        return Finding("RC503", message, f'write "$schema": "{_DRAFT}"', file, "/$schema")
    try:
        validator = jsonschema_rs.Draft202012Validator(
            document,
            validate_formats=True,
            ignore_unknown_formats=False,
            retriever=_never,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
            email_options=jsonschema_rs.EmailOptions(
                require_tld=True, allow_domain_literal=False, allow_display_text=False
            ),
        )
    except jsonschema_rs.ValidationError as error:
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Referencing):
            return _reference_finding(document, file, error.message)
        where = pointer.join(*error.instance_path)
        message = f"the schema is wrong: {error.message.partition('. Adjust')[0]}"
        return Finding("RC503", message, "correct it here", file, where)
    except ValueError as error:
        return Finding("RC503", f"the schema is wrong: {str(error).partition(chr(10))[0]}", "correct it", file, "")
    return Schema(document, validator, file)


def _never(uri: str) -> Json:
    raise ValueError(f"{uri} is not fetched")


def _reference_finding(document: dict[str, Any], file: str, message: str) -> Finding:
    fix = 'copy what it refers to into "$defs" of this file, and refer to it as "#/$defs/NAME"'
    for where, reference in _references(document, ""):
        if reference.removeprefix("#") in message:
            return Finding(
                "RC504", f'"$ref": "{reference}" leads nowhere in this file, and nothing is fetched', fix, file, where
            )
    return Finding("RC504", f"a reference cannot be followed: {message}", fix, file, "")


def _references(value: Json, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(inner, str):
                yield where + pointer.join(key), inner
            yield from _references(inner, where + pointer.join(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _references(inner, f"{where}/{index}")

"""Which values the simulated server takes: a table of its own, on purpose not our schema.

A real server does not read our schema either: a status that was only added there gets a 422 here.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from reconciler.model import Json

STATUSES: Final = ("active", "inactive", "maintenance", "provisioning", "decommissioned", "retired")

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LONGEST_TEXT: Final = 255


def problems(patch: Mapping[str, Json]) -> dict[str, list[str]]:
    """What is wrong with the values of a partial update, by top-level field; empty if nothing is.

    Fields that the server does not know are not looked at: it ignores them.
    """
    found = {field: _RULES[field](value) for field, value in patch.items() if field in _RULES}
    return {field: messages for field, messages in found.items() if messages}


def _text(value: Json) -> list[str]:
    if not isinstance(value, str):
        return ["Not a valid string."]
    if len(value) > _LONGEST_TEXT:
        return [f"Ensure this field has no more than {_LONGEST_TEXT} characters."]
    return []


def _optional_text(value: Json) -> list[str]:
    return [] if value is None else _text(value)


def _name(value: Json) -> list[str]:
    return ["This field may not be blank."] if value == "" else _text(value)


def _status(value: Json) -> list[str]:
    if value in STATUSES:
        return []
    shown = f'"{value}"' if isinstance(value, str) else "This value"
    return [f"{shown} is not a valid choice; expected one of {', '.join(STATUSES)}."]


def _email(value: Json) -> list[str]:
    if value is None or (isinstance(value, str) and _EMAIL.fullmatch(value)):
        return []
    return ["Enter a valid email address."]


def _object(value: Json) -> list[str]:
    return [] if isinstance(value, dict) else ["Expected an object."]


def _custom_fields(value: Json) -> list[str]:
    if not isinstance(value, dict):
        return _object(value)
    return [
        f"{key}: Date has wrong format. Use YYYY-MM-DD."
        for key in ("purchase_date", "warranty_expiry")
        if value.get(key) is not None and not _is_day(value[key])
    ]


def _tags(value: Json) -> list[str]:
    if not isinstance(value, list):
        return ["Expected a list."]
    if not all(isinstance(tag, str) and tag for tag in value):
        return ["Every tag must be a string that is not blank."]
    return ["Tags must be unique."] if len(set(map(str, value))) < len(value) else []


def _is_day(value: Json) -> bool:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


_RULES: Final[Mapping[str, Callable[[Json], list[str]]]] = {
    "name": _name,
    "status": _status,
    "location": _optional_text,
    "assigned_user": _email,
    "organization_unit": _optional_text,
    "device_type": _optional_text,
    "manufacturer": _optional_text,
    "model": _optional_text,
    "configuration": _object,
    "custom_fields": _custom_fields,
    "tags": _tags,
}

WRITABLE: Final = tuple(_RULES)
"""The fields that a PUT can change; all others are the server's own, or unknown to it."""

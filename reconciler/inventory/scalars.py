"""What an unquoted scalar means: the YAML 1.2 core schema, as far as JSON can carry it."""

import json
import re

from reconciler.model import Json

MAX_INTEGER = 2**53 - 1
MAYBE_NOT_A_STRING = frozenset(["", *"~nNtTfF+-.0123456789"])
"""What a scalar must begin with to be anything but a string: a quick first look."""

_WORDS: dict[str, bool | None] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")
_MAX_LENGTH = 400
"""Characters in an integer: more is beyond 2^53 or mere zeros, and Python refuses to convert some thousands."""
_SHOWN = 80


def resolved(text: str) -> Json:
    """The value of an unquoted scalar. Raises ValueError(code, message, fix) for a number that JSON cannot carry."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "~nNtTfF":
        return text
    if _INTEGER.fullmatch(text):
        base = 8 if text[1:2] == "o" else 16 if text[1:2] == "x" else 10
        value = int(text, base) if len(text) <= _MAX_LENGTH else MAX_INTEGER + 1
        if abs(value) <= MAX_INTEGER:
            return value
        message = f"{_cut(text)} is beyond ±(2^53−1): many programs would read it as another number"  # noqa: RUF001 - a minus
        raise ValueError("RC209", message, f"write it in quotes: {quoted(text)}")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if abs(number) != float("inf"):
            return number
        message = f"{_cut(text)} is larger than any number that JSON programs agree on"
        raise ValueError("RC208", message, f"write a smaller number, or quote it: {quoted(text)}")
    if _NOT_FINITE.fullmatch(text):
        message = f"{text} is not a number that JSON can carry"
        raise ValueError("RC208", message, f"write a number, or quote it: {quoted(text)}")
    return text


def named(text: str) -> str:
    """What an unquoted scalar reads as, in words; "" for a string."""
    try:
        value = resolved(text)
    except ValueError:
        return "a number"
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return ""
        case _:
            return "a number"


def quoted(text: str) -> str:
    """`text` as a double-quoted scalar, cut if it is long."""
    return json.dumps(_cut(text), ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

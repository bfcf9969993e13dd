"""Text that may safely reach a terminal, whatever it is made of."""

import json
import re
import unicodedata

from reconciler.model import ABSENT, Value
from reconciler.pointer import split

_COMMAND = re.compile(r"((?:^|[\n\r])\s*)::|##\[")
"""What GitHub's runner takes for a command: `::` at the start of a line, blanks aside, and `##[` anywhere."""


def printable(text: str) -> str:
    """`text` on one line, with control, bidi, zero-width and other invisible characters escaped like in JSON."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _visible(character) else _escaped(character) for character in text)


def without_commands(text: str) -> str:
    """`text` with nothing in it that a runner of GitHub Actions would carry out; JSON still says the same."""
    return _COMMAND.sub(lambda found: "#\\u0023[" if found[1] is None else f"{found[1]}\\u003a:", text)


def value(item: Value, *, limit: int = 120) -> str:
    """A field's value as JSON, cut in the middle beyond `limit` characters; nothing for ABSENT."""
    if item is ABSENT:
        return ""
    text = printable(json.dumps(item, ensure_ascii=False))
    if len(text) <= limit:
        return text
    return f"{text[: limit - 30]} … {text[-20:]} ({len(text)} characters)"


def differing(one: Value, other: Value, *, limit: int = 120) -> tuple[str, str]:
    """Two values that differ, as `value` spells them; if it would cut the difference out, the parts that hold it."""
    short = value(one, limit=limit), value(other, limit=limit)
    if short[0] != short[1] or one is ABSENT or other is ABSENT:
        return short
    whole = [printable(json.dumps(item, ensure_ascii=False)) for item in (one, other)]
    alike = next((at for at, pair in enumerate(zip(*whole, strict=False)) if len(set(pair)) > 1), 0)
    begin = max(0, alike - limit // 4)
    cut = [text[begin : begin + limit - 4] for text in whole]
    return "… " + cut[0] + " …", "… " + cut[1] + " …"


def dotted(pointer: str) -> str:
    """A JSON Pointer as people write it: `configuration.channel`, with keys quoted where they need it."""
    return ".".join(key if _plain(key) else value(key) for key in split(pointer))


def _plain(key: str) -> bool:
    return bool(key) and "." not in key and key[0] not in {"/", '"'} and printable(key) == key


def _visible(character: str) -> bool:
    return character == " " or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the end of the basic plane

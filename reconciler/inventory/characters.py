"""Characters that have no business in an inventory: they hide, reorder or break what people see."""

import re
import unicodedata
from collections.abc import Iterator

REPLACEMENT = "\ufffd"
"""Stands where a forbidden character was."""

_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, invisible format characters (bidi, zero-width, tags), lone surrogates, line and paragraph separators."""
_BLANK_LETTERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Letters and marks that show as nothing; their category does not tell."""
_CONTROLS = {"\0": "NUL", "\r": "CARRIAGE RETURN", "\x1b": "ESCAPE", "\x7f": "DELETE", "\x85": "NEXT LINE"}


def forbidden(text: str) -> Iterator[tuple[str, str]]:
    """Each forbidden character of `text`, once, with its name, in order of appearance. Tab and LF are fine."""
    plain = text.replace("\n", "").replace("\t", "")
    if plain.isprintable() and (plain.isascii() or not _BLANK_LETTERS.search(plain)):
        return
    for character in dict.fromkeys(plain):
        category = unicodedata.category(character)
        code = ord(character)
        noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # noqa: PLR2004 - as Unicode lists them
        if category in _CATEGORIES or noncharacter or _BLANK_LETTERS.match(character):
            name = _CONTROLS.get(character) or unicodedata.name(character, "")
            yield character, f"U+{code:04X} {name or 'control character'}"

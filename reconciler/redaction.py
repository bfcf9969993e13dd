"""Tokens that do not show themselves, and text that has every token taken out."""

import re
from base64 import b64encode, urlsafe_b64encode
from functools import cache
from html import escape
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters: a shorter text is no secret, and taking it out would leave gaps everywhere."""

_FORMS: set[str] = set()
"""Every token of this process, in the spellings that are looked for in any text."""
_ESCAPING = "\\%&"
"""By these a text may spell a character in another way: JSON and programs, URLs, HTML."""


def redacted(text: str) -> str:
    """`text` with every token of this process taken out: plain, base64, or escaped as in JSON, a URL or HTML."""
    for form in _FORMS:
        text = text.replace(form, "(token)")
    if any(sign in text for sign in _ESCAPING):
        for form in _FORMS:
            text = _escaped(form).sub("(token)", text)
    return text


@cache
def _escaped(form: str) -> re.Pattern[str]:
    """Finds `form` whichever of its characters are escaped, letters and digits aside."""
    return re.compile("".join(c if c.isalnum() else f"(?:{'|'.join(_spellings(c))})" for c in form), re.IGNORECASE)


def _spellings(character: str) -> list[str]:
    code = ord(character)
    ways = character, f"\\{character}", f"\\u{code:04x}", quote(character, safe=""), escape(character)
    return [*map(re.escape, ways), f"%{code:02x}", f"&#0*{code};", f"&#x0*{code:x};"]


class Token:
    """A bearer token that does not show itself in text, logs or tracebacks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        encoded = (b64encode(text.encode()), urlsafe_b64encode(text.encode()))
        forms = (text, quote(text, safe=""), quote_plus(text), *(form.decode().rstrip("=") for form in encoded))
        _FORMS.update(form for form in forms if len(text) >= SHORTEST)

    def __repr__(self) -> str:
        return "Token(…)"

    def header(self, scheme: str) -> str:
        """The value of the Authorization header: the only way out."""
        return f"{scheme} {self._text}"

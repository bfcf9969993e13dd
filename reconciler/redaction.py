"""Tokens that do not show themselves, and text that has every token taken out."""

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters: a shorter text is no secret, and taking it out would leave gaps everywhere."""

_FORMS: set[str] = set()
"""Every spelling of every token of this process."""


def redacted(text: str) -> str:
    """`text` with every token of this process taken out, plain, base64 or URL-encoded."""
    for form in _FORMS:
        text = text.replace(form, "(token)")
    return text


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

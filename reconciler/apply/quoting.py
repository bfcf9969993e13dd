"""Whether a text quotes a secret, in whichever way it is spelled there. Pure."""

import re
from html import unescape
from urllib.parse import unquote

TELLING = 8
"""Letters and digits in a row that tell something of a secret."""
_ALIKE = 4
"""A secret of fewer letters and digits is only known by all of its characters: it would be found in any text."""


def quotes(text: str, secret: str) -> bool:
    """Whether `text` holds the secret, or TELLING letters and digits of it in a row.

    Case, spaces, punctuation and how characters are escaped (JSON, programs, URLs, HTML) make no difference.
    """
    if secret in text:
        return True
    bare, within = _bare(secret), _bare(text)
    length = min(TELLING, len(bare))
    return length >= _ALIKE and any(bare[at : at + length] in within for at in range(len(bare) - length + 1))


def _bare(text: str) -> str:
    plain = re.sub(r"\\[nrt]", "", unquote(unescape(text)))
    return "".join(character for character in plain.casefold() if character.isalnum())

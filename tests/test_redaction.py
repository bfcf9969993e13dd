import json
from base64 import b64encode
from html import escape
from urllib.parse import quote

import pytest

from reconciler.redaction import Token, redacted

TEXT = "sekret/token+abcdef-0123=='"
Token(TEXT)


@pytest.mark.parametrize(
    "spelled",
    [
        TEXT,
        TEXT.replace("/", r"\/"),
        TEXT.replace("+", r"\u002b"),
        TEXT.replace("+", r"\u002B").replace("/", r"\/").replace("=", r"\u003d"),
        json.dumps(json.dumps(TEXT))[3:-3],
        repr(TEXT + '"')[1:-2],
        quote(TEXT, safe=""),
        quote(TEXT, safe="").lower(),
        escape(TEXT),
        TEXT.replace("+", "&#43;").replace("=", "&#x3D;"),
        b64encode(TEXT.encode()).decode(),
    ],
)
def test_a_token_is_taken_out_however_it_is_spelled(spelled: str) -> None:
    assert redacted(f"<Bearer {spelled}> 100 % & more \\o/") == "<Bearer (token)> 100 % & more \\o/"


def test_other_text_stays_as_it_is() -> None:
    text = r'{"a": "\/ \u002b % & sekret/token", "b": "C:\\x"}'

    assert redacted(text) == text

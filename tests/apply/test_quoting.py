import json
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.quoting import TELLING, quotes

PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("correct  horse battery", "bad value correct horse battery"),
        (PEM, "cannot parse " + " ".join(PEM.split())),
        (PEM, f"cannot parse {PEM!r}"),
        ("p&ss<w>ord-123", f"bad value {escape('p&ss<w>ord-123')}"),
        ("it's\\a-secret", 'bad value "it\'s\\\\a-secret"'),
        ("pa ss/w\u00f6rd", quote("bad pa ss/w\u00f6rd")),
        ("my-secret-psk", "BAD VALUE MY-SECRET-PSK"),
        ("S3cretS3cretS3cretS3cret", "x" * 280 + " S3cretS3cretS3"),
        ("a1!", "a1! is too short"),
    ],
)
def test_a_secret_is_known_however_it_is_spelled(secret: str, text: str) -> None:
    assert quotes(text, secret)


@pytest.mark.parametrize("secret", ["hunter2", "a1!", "!!!", "1", PEM])
def test_words_that_have_nothing_of_it_are_no_quotation(secret: str) -> None:
    assert not quotes("Ensure this field has at least 8 characters; it must not be blank.", secret)


@given(st.text(), st.text(min_size=1), st.text())
def test_whoever_repeats_a_secret_quotes_it(before: str, secret: str, after: str) -> None:
    assert quotes(before + secret + after, secret)
    if secret.isascii() and sum(map(str.isalnum, secret)) >= TELLING:
        assert quotes(json.dumps(secret.upper()), secret) or "\\u" in json.dumps(secret)

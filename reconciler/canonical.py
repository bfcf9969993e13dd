"""One spelling per JSON value, so that values can be compared and hashed as text.

Canonical here: keys sorted by code point, no spaces, UTF-8 as is, no NaN. 1, 1.0 and true are three different texts.
"""

import hashlib
import json
from collections.abc import Mapping

from reconciler.model import Json


def canonical(value: Mapping[str, Json] | Json) -> str:
    """The one spelling of `value`. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def sha256(value: Mapping[str, Json] | Json) -> str:
    """Hex digest of the canonical spelling."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def checksum(content: bytes | str) -> bytes:
    """128 bits that know a content again: no accident brings them about for another, and nobody on purpose."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).digest()[:16]


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)

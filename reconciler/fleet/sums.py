"""By what a device is known to stand as it is declared, without looking at either."""

from collections.abc import Mapping
from hashlib import sha256

from reconciler.canonical import canonical
from reconciler.model import DeviceState, Json


def quiet(state: DeviceState) -> bool:
    """Whether there is nothing about a device that plans must tell but what changed."""
    return state.unknown is None and not state.divergence and not state.unconfirmed


def total(value: Mapping[str, Json] | str) -> bytes:
    """The same for the same JSON value, or text, and for no other."""
    text = value if isinstance(value, str) else canonical(value)
    return sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]

"""Whether the server holds what was sent."""

from collections.abc import Iterable, Iterator, Mapping

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Divergence, Json, Value
from reconciler.pointer import get, join, related, within


def divergence(
    sent: Mapping[str, Json],
    echo: Mapping[str, Json],
    *,
    removed: Iterable[str] = (),
    set_like: frozenset[str] = frozenset(),
    secret: frozenset[str] = frozenset(),
) -> tuple[Divergence, ...]:
    """Every place where `echo` does not hold what `sent` put there, or still holds one of the `removed` pointers.

    Numbers compare by value (1 is 1.0, and neither is true), lists at `set_like` pointers as sets. What the echo holds
    beyond that was never ours. Values at `secret` pointers are not compared, since servers mask them; that a removed
    one is still there counts, and no value that is or holds a secret is in the result.
    """
    found = [
        item for name, value in sent.items() for item in _compared((name,), value, echo.get(name, ABSENT), set_like)
    ]
    found = [item for item in found if not any(within(item.path, pointer) for pointer in secret)]
    found += [Divergence(path, ABSENT, held) for path in removed if (held := get(echo, path)) is not ABSENT]
    return tuple(_masked(item, secret) for item in found)


def _masked(item: Divergence, secret: frozenset[str]) -> Divergence:
    """Without its values, if they are a secret, hold one, or are part of one."""
    if not any(related(item.path, pointer) for pointer in secret):
        return item
    return Divergence(item.path, _mask(item.sent), _mask(item.echoed))


def _mask(value: Value) -> Value:
    return value if value is ABSENT else "(sensitive)"


def _compared(path: tuple[str, ...], sent: Json, echoed: Value, set_like: frozenset[str]) -> Iterator[Divergence]:
    if isinstance(sent, dict) and (sent or isinstance(echoed, dict)):
        held = echoed if isinstance(echoed, dict) else {}
        for key, value in sent.items():
            yield from _compared((*path, key), value, held.get(key, ABSENT), set_like)
    elif echoed is ABSENT or not _equal(sent, echoed, as_set=join(*path) in set_like):
        yield Divergence(join(*path), sent, echoed)


def _equal(sent: Json, echoed: Json, *, as_set: bool) -> bool:
    if isinstance(sent, list) and isinstance(echoed, list):
        if as_set:
            sent, echoed = sorted(sent, key=canonical), sorted(echoed, key=canonical)
        return len(sent) == len(echoed) and all(
            _equal(left, right, as_set=False) for left, right in zip(sent, echoed, strict=True)
        )
    if isinstance(sent, dict) and isinstance(echoed, dict):
        return all(key in echoed and _equal(value, echoed[key], as_set=False) for key, value in sent.items())
    if isinstance(sent, bool) or isinstance(echoed, bool):
        return sent is echoed
    return sent == echoed

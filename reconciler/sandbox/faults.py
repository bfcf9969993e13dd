"""Which faults a sandbox has, and which requests they strike: the grammar of `--fault`, and the choice.

    KIND[=VALUE][:CONDITION,...]          drop-after-commit:30%,serial=AP-*,seed=7

The choice depends on the seed, the kind, the serial and the number of the request for that serial, and on nothing
else: the same run meets the same faults, however its requests are timed and ordered. (Only `x2` asks who came first.)
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from reconciler.errors import Usage
from reconciler.printable import printable
from reconciler.sandbox.behaviours import Behaviour, SlowAccept
from reconciler.sandbox.kinds import KINDS, NUMBER

FORM: Final = "KIND[=VALUE][:CONDITION,...]"
CONDITIONS: Final[Mapping[str, str]] = {
    "30%": "Strike that share of the requests.",
    "x2": "Strike twice in all, whichever devices come first.",
    "first=2": "Strike only the first 2 requests of each device.",
    "serial=AP-*": "Strike only devices whose serial matches.",
    "seed=7": "Choose other requests, and other values of a distribution; 0 by default.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One spec, understood."""

    spec: str
    kind: str
    does: Behaviour | SlowAccept
    share: float = 1.0
    times: int | None = None
    first: int | None = None
    serial: str = "*"
    seed: int = 0

    def draw(self, serial: str, number: int) -> float | None:
        """A random number in [0, 1) for request `number` (from 1) of a serial; None if it is not to be struck."""
        if not fnmatchcase(serial, self.serial) or (self.first is not None and number > self.first):
            return None
        digest = hashlib.sha256(f"{self.seed} {self.kind} {serial} {number}".encode("utf-8", "surrogatepass")).digest()
        chance, draw = (int.from_bytes(part) / 2**48 for part in (digest[:6], digest[6:12]))
        return draw if chance < self.share else None


class Round:
    """Faults since they were set, and what they have struck. Used from the server's thread only."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        faults = tuple(faults)
        self.on_requests = tuple((fault, fault.does) for fault in faults if not isinstance(fault.does, SlowAccept))
        self._on_connections = tuple((fault, fault.does) for fault in faults if isinstance(fault.does, SlowAccept))
        self._requests: Counter[str] = Counter()
        self._taken: Counter[Fault] = Counter()
        self._connections = 0

    def number(self, serial: str) -> int:
        """Count one more request of this serial; from 1."""
        self._requests[serial] += 1
        return self._requests[serial]

    def take(self, fault: Fault, serial: str, number: int) -> float | None:
        """As `Fault.draw`, counted against its `times`."""
        if fault.times is not None and self._taken[fault] >= fault.times:
            return None
        draw = fault.draw(serial, number)
        self._taken[fault] += draw is not None
        return draw

    def give_back(self, fault: Fault) -> None:
        """Chosen, but it found nothing to strike."""
        self._taken[fault] -= 1

    def accept_after(self) -> tuple[float, tuple[str, ...]]:
        """Seconds until the next connection is taken up, and the kinds of fault that say so."""
        self._connections += 1
        drawn = [(does.delay, self.take(fault, "", self._connections)) for fault, does in self._on_connections]
        waits = [delay(draw) for delay, draw in drawn if draw is not None]
        return sum(waits), ("slow-accept",) * len(waits)


class Faults:
    """The faults of one sandbox; they may be set from any thread, and hold for requests that arrive from then on.

    `at_work` are the requests that are on their way through them.
    """

    def __init__(self, specs: Iterable[str] = ()) -> None:
        self.at_work: set[asyncio.Task[None]] = set()
        self.set(specs)

    def set(self, specs: Iterable[str]) -> None:
        """Have these faults and no others, as if none had struck yet. Raises Usage if a spec makes no sense."""
        faults = tuple(parse(spec) for spec in specs)
        self.specs = tuple(fault.spec for fault in faults)
        self.current = Round(faults) if faults else None


def parse(spec: str) -> Fault:
    """The fault that a spec describes. Raises Usage, with the accepted form."""
    what, colon, conditions = spec.partition(":")
    name, equals, value = what.partition("=")
    kind = KINDS.get(name)
    if kind is None:
        close = get_close_matches(name, KINDS, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"known are {', '.join(KINDS)}"
        raise _wrong(spec, f'unknown kind "{name}"; {hint}')
    if equals and not kind.takes:
        raise _wrong(spec, f"{name} takes no value")
    if not equals and kind.takes and kind.default is None:
        raise _wrong(spec, f"{name} needs a value: {kind.takes.says}")
    try:
        does = kind.build(value if equals else kind.default or "")
    except ValueError:
        says = kind.takes.says if kind.takes else ""
        raise _wrong(spec, f'"{value}" is not a value of {name}; expected {says}') from None
    found: dict[str, str] = {}
    for condition in conditions.split(",") if colon else ():
        key, text = _condition(spec, condition)
        if key in found:
            raise _wrong(spec, f"more than one condition of the kind {condition}")
        found[key] = text
    if isinstance(does, SlowAccept) and found.keys() & {"serial", "first"}:
        raise _wrong(spec, f"{name} strikes connections, before a serial is known; drop serial= and first=")
    return Fault(
        spec,
        name,
        does,
        share=float(found.get("share", 100)) / 100,
        times=int(found["times"]) if "times" in found else None,
        first=int(found["first"]) if "first" in found else None,
        serial=found.get("serial", "*"),
        seed=int(found.get("seed", 0)),
    )


def _condition(spec: str, condition: str) -> tuple[str, str]:
    if (match := re.fullmatch(rf"({NUMBER})%", condition, re.ASCII)) and 0 < float(match[1]) <= 100:  # noqa: PLR2004 - per cent
        return "share", match[1]
    if match := re.fullmatch(r"x([1-9]\d{0,8})", condition, re.ASCII):
        return "times", match[1]
    if match := re.fullmatch(r"(first=[1-9]|seed=\d)(\d{0,8})", condition, re.ASCII):
        key, _, digit = match[1].partition("=")
        return key, digit + match[2]
    if match := re.fullmatch(r"serial=(.+)", condition):
        return "serial", match[1]
    close = get_close_matches(condition.partition("=")[0] + "=", ("first=", "serial=", "seed="), 1)
    hint = f'did you mean "{close[0]}"? ' if close and not condition.startswith(close[0]) else ""
    raise _wrong(spec, f'unknown condition "{condition}"; {hint}conditions look like {", ".join(CONDITIONS)}')


def _wrong(spec: str, why: str) -> Usage:
    return Usage(
        f'fault "{printable(spec)}": {printable(why)}; the form is {FORM}; reconciler sandbox --help lists all faults'
    )

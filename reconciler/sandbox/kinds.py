"""The kinds of fault: what each does, and the values that it takes."""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from math import log
from typing import Final

from reconciler.sandbox import behaviours
from reconciler.sandbox.behaviours import Behaviour, Delay, Reply, SlowAccept

NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"


@dataclass(frozen=True, slots=True)
class Form:
    """What a value looks like: its name in `--help`, and the words that explain it."""

    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `build` raises ValueError for a value that is not of the form `takes`.

    `takes` None: no value; `default` None: there must be one.
    """

    says: str
    build: Callable[[str], Behaviour | SlowAccept]
    takes: Form | None = None
    default: str | None = None


def _seconds(text: str) -> float:
    match = re.fullmatch(rf"\s*({NUMBER})(ms|s)\s*", text, re.ASCII)
    if not match:
        raise ValueError(text)
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise ValueError(text)
    return seconds


def _delay(text: str) -> Delay:
    if match := re.fullmatch(r"uniform\(([^,]+),([^,]+)\)", text):
        low, high = _seconds(match[1]), _seconds(match[2])
        if low > high:
            raise ValueError(text)
        return lambda draw: low + (high - low) * draw
    if match := re.fullmatch(r"exponential\((.+)\)", text):
        mean = _seconds(match[1])
        return lambda draw: -mean * log(1 - draw)
    fixed = _seconds(text)
    return lambda _: fixed


def _size(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d{0,3})(KiB|MiB)", text, re.ASCII)
    if not match:
        raise ValueError(text)
    return int(match[1]) << (10 if match[2] == "KiB" else 20)


def _retry_after(text: str) -> Callable[[], str | None]:
    if match := re.fullmatch(r"date\((.+)\)", text):
        ahead = _seconds(match[1])
        return lambda: behaviours.http_date(ahead)
    match = re.fullmatch(r"(\d{1,9})s", text, re.ASCII)
    header = {"missing": None, "nonsense": "when the moon is full"}
    if not match and text not in header:
        raise ValueError(text)
    return lambda: match[1] if match else header[text]


def _status(text: str, allowed: Container[int]) -> int:
    status = int(text)
    if status not in allowed:
        raise ValueError(text)
    return status


def _error(text: str) -> Reply:
    return behaviours.error(_status(text, range(400, 600)))


def _redirect(text: str) -> Reply:
    return behaviours.redirect(_status(text, {301, 302, 303, 307, 308}))


def _rule(text: str) -> Callable[[str], str]:
    rules: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "trimmed": str.strip}
    if text not in rules:
        raise ValueError(text)
    return rules[text]


def _always(reply: Reply) -> Behaviour:
    return behaviours.instead(lambda: reply)


_TIME: Final = Form("TIME", "20ms, 1.5s, uniform(5ms,50ms) or exponential(20ms)")
_INTERVAL: Final = Form("INTERVAL", "20ms or 1.5s, not 0s")
_ERROR: Final = Form("STATUS", "400 to 599")
_REDIRECT: Final = Form("REDIRECT", "301, 302, 303, 307 or 308")
_RETRY: Final = Form("RETRY", "2s, date(2s) for an HTTP date, missing or nonsense")
_SIZE: Final = Form("SIZE", "64KiB or 2MiB")
_FIELD: Final = Form("FIELD", "a top-level field")
_RULE: Final = Form("RULE", "upper, lower or trimmed")

KINDS: Final[Mapping[str, Kind]] = {
    "latency": Kind("Carry out the request late.", lambda text: behaviours.latency(_delay(text)), _TIME),
    "latency-after-commit": Kind(
        "Change the device at once, answer late.", lambda text: behaviours.latency_after_commit(_delay(text)), _TIME
    ),
    "drop-before-commit": Kind("Cut the connection; change nothing.", lambda _: _always(behaviours.CUT)),
    "drop-after-commit": Kind(
        "Change the device, then cut the connection.", lambda _: behaviours.after_commit(behaviours.CUT)
    ),
    "error-before-commit": Kind(
        "Answer with an error (503); change nothing.", lambda text: _always(_error(text)), _ERROR, "503"
    ),
    "error-after-commit": Kind(
        "Change the device, answer with an error (503).",
        lambda text: behaviours.after_commit(_error(text)),
        _ERROR,
        "503",
    ),
    "throttle": Kind(
        "Answer 429 with that Retry-After; change nothing.",
        lambda text: behaviours.throttled(_retry_after(text)),
        _RETRY,
    ),
    "accepted-before-commit": Kind("Answer 202; change nothing.", lambda _: _always(behaviours.ACCEPTED)),
    "accepted-after-commit": Kind(
        "Change the device, answer 202.", lambda _: behaviours.after_commit(behaviours.ACCEPTED)
    ),
    "no-content": Kind("Change the device, answer 204.", lambda _: behaviours.after_commit(behaviours.NO_CONTENT)),
    "html-before-commit": Kind(
        "Answer 200 with a page, as a captive portal does; change nothing.", lambda _: _always(behaviours.HTML)
    ),
    "html-after-commit": Kind(
        "Change the device, answer 200 with a page.", lambda _: behaviours.after_commit(behaviours.HTML)
    ),
    "redirect": Kind(
        "Answer with a redirect (307); change nothing.", lambda text: _always(_redirect(text)), _REDIRECT, "307"
    ),
    "wrong-serial": Kind("Echo another serial number.", lambda _: behaviours.afterwards(behaviours.wrong_serial)),
    "missing-field": Kind(
        "Leave a field out of the echo (the first that was sent).", behaviours.missing_field, _FIELD, ""
    ),
    "normalised": Kind(
        "Hold and echo every text but the status in that form.",
        lambda text: behaviours.normalised(_rule(text)),
        _RULE,
    ),
    "drip": Kind(
        "Send the answer's body byte by byte (each 100ms).",
        lambda text: behaviours.drip(_interval(text)),
        _INTERVAL,
        "100ms",
    ),
    "oversized": Kind(
        "Pad the answer's body to this size (2MiB).", lambda text: behaviours.oversized(_size(text)), _SIZE, "2MiB"
    ),
    "gzip-bomb": Kind(
        "Answer with gzip that unpacks to this size (16MiB).",
        lambda text: behaviours.gzip_bomb(_size(text)),
        _SIZE,
        "16MiB",
    ),
    "close": Kind(
        "Close the connection after the answer, unannounced.", lambda _: behaviours.afterwards(behaviours.close)
    ),
    "reset-on-reuse": Kind(
        "Reset a connection that is used again; change nothing.", lambda _: behaviours.reset_on_reuse
    ),
    "slow-accept": Kind(
        "Leave a new connection waiting before it is taken up.", lambda text: SlowAccept(_delay(text)), _TIME
    ),
}
FORMS: Final = (_TIME, _INTERVAL, _ERROR, _REDIRECT, _RETRY, _SIZE, _FIELD, _RULE)

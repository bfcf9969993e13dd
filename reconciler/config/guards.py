"""The tables `[guard]`, `[lifecycle]` and `[on_removed]`: what of them TOML alone does not say."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from reconciler.errors import ConfigError
from reconciler.model import NEVER_SENT
from reconciler.policy import Freeze, GuardSettings, LifecycleSettings, OnRemovedSettings

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
"""Minutes."""
LARGEST = 2**53 - 1
"""The largest whole number that every JSON reader keeps."""


@dataclass(frozen=True, slots=True)
class FreezeTable:
    """One `[[guard.freeze]]` as it is written."""

    days: tuple[str, ...] = DAYS
    hours: str = ""
    timezone: str = "UTC"
    reason: str = ""


def window(table: FreezeTable, name: str) -> Freeze:
    """The freeze that a table describes. Raises ConfigError; `name` is the file and the key."""
    for day in table.days:
        if day not in DAYS:
            raise ConfigError(f"{name}.days has {day!r}{_close(day, DAYS)}; expected some of {', '.join(DAYS)}")
    if not table.days:
        raise ConfigError(f"{name}.days is empty; leave it out for every day")
    start, end = _hours(table.hours, f"{name}.hours") if table.hours else (0, DAY)
    days = "" if set(table.days) == set(DAYS) else ", ".join(day for day in DAYS if day in table.days)
    label = " ".join(part for part in (days, table.hours) if part) or "every day"
    return Freeze(
        days=frozenset(DAYS.index(day) for day in table.days),
        start=start,
        end=end,
        zone=_zone(table.timezone, f"{name}.timezone"),
        label=f"{label} {table.timezone}",
        reason=table.reason,
    )


def check(guard: GuardSettings, lifecycle: LifecycleSettings, removed: OnRemovedSettings, name: str) -> None:
    """Raise ConfigError for values that are of the right type and still cannot be meant."""
    bounds: list[tuple[str, float | None, float]] = [
        ("max_changed_pct", guard.max_changed_pct, 100),
        ("max_released_pct", guard.max_released_pct, 100),
        ("floor", guard.floor, 1e9),
        ("max_changed", guard.max_changed, 1e9),
        ("max_released", guard.max_released, 1e9),
        ("max_adopted", guard.max_adopted, 1e9),
        ("max_fan_out", guard.max_fan_out, 1e9),
    ]
    for key, value, high in bounds:
        if value is not None and not 0 <= value <= high:
            raise ConfigError(f"{name}: guard.{key} is {value}; expected 0 to {high:g}")
    if not all(lifecycle.field.split(".")):
        raise ConfigError(f"{name}: lifecycle.field is {lifecycle.field!r}; expected a field, such as status")
    if not removed.patch:
        raise ConfigError(f'{name}: on_removed.patch is empty; expected fields, such as status = "decommissioned"')
    for key, value in removed.patch.items():
        if key in NEVER_SENT | {"serial_number"} or key.startswith("$"):
            raise ConfigError(f"{name}: on_removed.patch.{key} is never sent; take it out")
        for culprit in _not_json(value):
            raise ConfigError(f"{name}: on_removed.patch.{key} holds {culprit!r}, which JSON cannot; write a string")


def _hours(text: str, name: str) -> tuple[int, int]:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", text)
    if not found:
        raise ConfigError(f'{name} is {text!r}; expected "HH:MM-HH:MM", such as "18:00-06:00"')
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if end > DAY:
        raise ConfigError(f"{name} is {text!r}; no day is longer than 24:00")
    if start == end:
        raise ConfigError(f"{name} is {text!r}, which is no time at all; leave it out for the whole day")
    return start, end


def _zone(key: str, name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(key)
    except (KeyError, ValueError, OSError):
        from difflib import get_close_matches

        known = available_timezones()
        cities = {zone.rpartition("/")[2]: zone for zone in sorted(known)}
        city = get_close_matches(key.rpartition("/")[2].replace(" ", "_").title(), cities, 1)
        hint = cities[city[0]] if city else next(iter(get_close_matches(key, known, 1)), "")
        said = f"did you mean {hint}?" if hint else "expected an IANA name, such as Europe/Paris"
        raise ConfigError(f"{name} is {key!r}, which is no time zone; {said}") from None


def _close(word: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), known, 1) or [day for day in known if word.lower().startswith(day)]
    return f" (did you mean {close[0]}?)" if close else ""


def _not_json(value: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever TOML holds
    """What JSON has no word for: dates, times, infinities, and whole numbers that readers would round."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _not_json(inner)
    elif isinstance(value, float):
        yield from [] if math.isfinite(value) else [value]
    elif isinstance(value, int):
        yield from [] if abs(value) <= LARGEST else [value]
    elif not isinstance(value, str):
        yield value

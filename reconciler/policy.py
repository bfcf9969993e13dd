"""What a plan may do, as values: the tables `[guard]`, `[lifecycle]`, `[on_removed]` and `[ci]` of the settings."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Freeze:
    """A `[[guard.freeze]]`: a time of the week in which nothing is applied, by the clocks on the wall in `zone`.

    It begins `start` minutes after midnight on each of `days` (0 is Monday) and ends at `end`; an `end` that is not
    after `start` is on the day after. `label` says all this in words.
    """

    days: frozenset[int]
    start: int
    end: int
    zone: tzinfo
    label: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """`[guard]`: what a plan may do unasked. Percentages are of all devices in the state; None is no limit.

    `floor` holds for the percentages only: fewer devices than that, or as many, are never too many.
    """

    max_changed_pct: float = 30.0
    max_released_pct: float = 5.0
    floor: int = 10
    max_changed: int | None = None
    max_released: int | None = None
    max_adopted: int | None = None
    max_fan_out: int | None = None
    protected: tuple[str, ...] = ()
    freeze: tuple[Freeze, ...] = ()


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """`[lifecycle]`: how `field` (a dotted path) may move, from each value to which; none listed: anywhere.

    A device that was last applied with one of the `frozen` values is not changed any more.
    """

    field: str = "status"
    transitions: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    frozen: tuple[str, ...] = ("decommissioned",)


@dataclass(frozen=True, slots=True)
class OnRemovedSettings:
    """`[on_removed]`: what happens to what disappears from the inventory. `patch` is what decommissioning sends."""

    field: Literal["release", "null", "error"] = "release"
    device: Literal["release", "decommission"] = "release"
    patch: dict[str, Any] = dataclasses.field(default_factory=lambda: {"status": "decommissioned"})

    @property
    def decommission(self) -> Mapping[str, Any] | None:
        """The fields that a device gets when it leaves the inventory; None: it is released instead."""
        return self.patch if self.device == "decommission" else None


@dataclass(frozen=True, slots=True)
class CiSettings:
    """`[ci]`: whether `ci apply` needs a reviewed plan, or only heeds one that there is."""

    reviewed: Literal["required", "if-present"] = "required"

"""A section of a screen: lines that take the room they are given, and say what they leave out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Lines, what is left out of them in words, and whether `--full` has more to tell."""

    lines: Sequence[str]
    left: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """What would take `height` lines, blank ones included, and can do with fewer."""

    height: int
    part: Callable[[int], Part]

"""A section of a screen: lines that take the room they are given, and say what they leave out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reconciler.model import Action, Change


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


def actions(changes: Sequence[Change]) -> Iterable[Action]:
    """The action of each; without a look at changes that wait on disk."""
    known: Iterable[Action] | None = getattr(changes, "actions", None)
    return known if known is not None else (change.action for change in changes)

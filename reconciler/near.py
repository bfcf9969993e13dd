"""What somebody meant who misspelled a name."""

from collections.abc import Iterable
from difflib import get_close_matches


def near(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that differs in case only, else the shortest that begins so, else the one spelled most alike.

    None if there is none.
    """
    names = sorted(known)
    folded = word.casefold()
    same = [name for name in names if name.casefold() == folded]
    longer = sorted((name for name in names if name.casefold().startswith(folded)), key=len)
    return next(iter(same or longer or get_close_matches(word, names, 1)), None)

"""What somebody meant who misspelled a name."""

from collections.abc import Iterable
from difflib import get_close_matches


def near(word: str, known: Iterable[str]) -> str | None:
    """The shortest of `known` that begins with `word`, whatever its case; else the one that is spelled most alike.

    None if there is none.
    """
    names = sorted(known)
    longer = sorted((name for name in names if name.casefold().startswith(word.casefold())), key=len)
    return next(iter((longer if word else []) or get_close_matches(word, names, 1)), None)

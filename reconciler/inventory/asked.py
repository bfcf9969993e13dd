"""Which values of a device a person means by a path."""

from collections.abc import Mapping
from difflib import get_close_matches

from reconciler.errors import Usage
from reconciler.inventory.origin import tips
from reconciler.model import Json, Value
from reconciler.pointer import get, join, parsed, split, within
from reconciler.printable import dotted


def asked(text: str, fields: Mapping[str, Json], spoken: set[str], who: str) -> list[str]:
    """The pointers of all values at and inside the path that `text` means, those in `fields` first, in their order.

    `spoken` are the pointers of values that were set, unset or applied, whether they came to be or not. A path into a
    value (an item of a list, a key of a map that was replaced) means that value. Raises Usage for one that is nowhere,
    naming one that `who` has.
    """
    path = meant(text)
    declared = dict.fromkeys(tips(fields))
    around = {outer for known in (*declared, *spoken) for outer in _outer(known)}
    gone = {it for it in spoken if it not in declared and it not in around and not declared.keys() & {*_outer(it)}}
    every = [*declared, *sorted(gone)]
    if found := [known for known in every if within(known, path)]:
        return found
    for known in every:
        if within(path, known):
            value, inside = get(fields, known), path.removeprefix(known)
            if any(within(other, path) for other in spoken) or (isinstance(value, list) and _leads(value, inside)):
                return [known]
    raise Usage(f"{who} has no {dotted(path)}; {_hint(path, {*every, *around}, who)}")


def meant(text: str) -> str:
    """The pointer that `text` means; "" for none. Raises Usage for what is no path."""
    try:
        return parsed(text) if text else ""
    except ValueError as error:
        raise Usage(str(error)) from None


def _outer(path: str) -> list[str]:
    """The pointers of everything around `path`."""
    keys = split(path)
    return [join(*keys[:depth]) for depth in range(1, len(keys))]


def _leads(value: Value, inside: str) -> bool:
    """Whether the pointer leads to something in `value`, through the items of lists, too."""
    for key in split(inside):
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return False
    return True


def _hint(path: str, known: set[str], who: str) -> str:
    names = {dotted(item): item for item in sorted(known)}
    close = get_close_matches(dotted(path), names, 1)
    close = close or [name for name, item in names.items() if split(item)[-1] == split(path)[-1]]
    return f"did you mean {close[0]}?" if close else f"`reconciler explain {who}` shows all that it has"

"""What the schema asks of devices among each other: values that must be unique, and serials that must exist."""

from collections.abc import Callable, Collection, Iterable, Iterator

from reconciler import pointer
from reconciler.canonical import canonical
from reconciler.inventory.document import Candidate, Finding
from reconciler.inventory.validate import Locate
from reconciler.inventory.wording import shown
from reconciler.model import ABSENT, Json
from reconciler.near import near


def repeated(candidates: Iterable[Candidate], unique: Iterable[str], locate: Locate) -> Iterator[Finding]:
    """Values at the `unique` pointers (`x-unique`) that two devices have; text counts as equal whatever its case.

    A null is no value. Both places are named.
    """
    candidates = list(candidates)
    for path in sorted(unique):
        first: dict[str, Candidate] = {}
        keys = pointer.split(path)
        for candidate in candidates:
            value = pointer.get(candidate.value, path)
            if value is ABSENT or value is None:
                continue
            other = first.setdefault(canonical(value).casefold(), candidate)
            if other is not candidate:
                spot, there = locate(candidate, keys), locate(other, keys)
                if (spot.file, spot.pointer) == (there.file, there.pointer):
                    message = f"{spot.label} must differ from device to device, and this line gives it to many"
                    fix = "set it in each device, or build it from {serial_number}"
                    yield spot.finding("RC617", message, fix)
                    continue
                message = (
                    f"{candidate.label(*keys)} must be unique, and {other.serial or 'another device'} has it too, at"
                )
                fix = "give one of the two another value"
                yield Finding("RC617", message, fix, spot.file, spot.pointer, also=(there.file, there.pointer))


def dangling(
    candidates: Iterable[Candidate],
    references: Iterable[str],
    locate: Locate,
    hidden: Callable[[str], bool],
    serials: Collection[object] | None = None,
) -> Iterator[Finding]:
    """Values at the `references` pointers (`x-references`) that are no serial number of a declared device.

    `serials` are those of all devices, if `candidates` are only some of them.
    """
    candidates = list(candidates)
    references = sorted(references)
    if serials is None:
        serials = {candidate.serial for candidate in candidates} if references else set()
    fixes: dict[str, str] = {}  # a search for what may have been meant costs a look at every serial
    for path in references:
        for candidate in candidates:
            value = pointer.get(candidate.value, path)
            for item in value if isinstance(value, list) else [value]:
                if item is ABSENT or item is None or (isinstance(item, str) and item in serials):
                    continue
                known = canonical(item)
                if known not in fixes:
                    fixes[known] = "correct it, or declare that device" if hidden(path) else _fix(item, serials)
                spot = locate(candidate, pointer.split(path))
                what = "what is not shown" if hidden(path) else shown(item)
                yield spot.finding("RC618", f"{spot.label} refers to {what}, which is not declared", fixes[known])


def swapped(candidates: Iterable[Candidate]) -> Iterator[Finding]:
    """Devices that are said to be replaced, and are still declared, or are replaced by two."""
    candidates = list(candidates)
    declared = {candidate.serial: candidate for candidate in candidates}
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        old = candidate.replaces
        if old is None:
            continue
        where = candidate.pointer + "/$replaces"
        if other := declared.get(old):
            message, fix = f"{candidate.label()} replaces {old}, which is still declared, at", "delete one of the two"
            also = (other.source.file, other.pointer + "/serial_number")
            yield Finding("RC619", message, fix, candidate.source.file, where, also=also)
        elif (other := first.setdefault(old, candidate)) is not candidate:
            message, fix = f"{candidate.label()} replaces {old}, and so does another, at", "delete one of the two lines"
            also = (other.source.file, other.pointer + "/$replaces")
            yield Finding("RC619", message, fix, candidate.source.file, where, also=also)


def _fix(item: Json, serials: Iterable[object]) -> str:
    meant = near(str(item), [str(serial) for serial in serials if serial])
    return f"did you mean {meant}?" if meant else "correct it, or declare that device"

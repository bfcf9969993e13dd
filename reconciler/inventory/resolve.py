"""Documents -> candidates: which devices the files declare, and under which serials."""

import re
from collections.abc import Iterable, Iterator

from reconciler import pointer
from reconciler.inventory.document import Candidate, Document, Finding
from reconciler.model import ABSENT, Device, Json, Serial, Source

SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Cannot be `.` or `..`, and needs no escape in a path."""


def resolve(documents: Iterable[Document]) -> tuple[list[Candidate], list[Finding]]:
    """All candidates in order of files and places, and what is wrong with the shape of files and with serials."""
    candidates: list[Candidate] = []
    findings: list[Finding] = []
    first: dict[str, Candidate] = {}
    for document in documents:
        for item in _candidates(document):
            if isinstance(item, Finding):
                findings.append(item)
                continue
            candidates.append(item)
            findings += _reserved(item, item.value, ())
            findings += _serial_findings(item)
            if item.serial is None:
                continue
            other = first.setdefault(item.serial.casefold(), item)
            if other is not item:
                findings.append(_duplicate(item, other))
    return candidates, findings


def devices(candidates: Iterable[Candidate]) -> dict[Serial, Device]:
    """The candidates with a serial, as devices."""
    return {
        candidate.serial: Device(
            candidate.serial,
            {key: value for key, value in candidate.value.items() if key != "serial_number"},
            candidate.source,
            candidate.pointer,
        )
        for candidate in candidates
        if candidate.serial is not None
    }


def _candidates(document: Document) -> Iterator[Candidate | Finding]:
    """The file's one device, or those of its `devices` list."""
    value = document.value
    if not isinstance(value, dict):
        yield _no_device(document)
    elif "devices" not in value:
        yield _candidate(document, value, "")
    else:
        items = value["devices"]
        for key in value:
            if key != "devices":
                message = f'"{key}" stands beside `devices`; a file holds either one device or a list of them'
                fix = "move it into each device of the list, or into a file of its own"
                yield Finding("RC302", message, fix, document.file, pointer.join(key), at_key=True)
        if not isinstance(items, list) or not items:
            message = "`devices` is " + ("an empty list" if items == [] else "not a list")
            fix = "write each device under it as a list item: `  - serial_number: …`"
            yield Finding("RC303", message, fix, document.file, "/devices")
            return
        for index, item in enumerate(items):
            where = pointer.join("devices", index)
            if isinstance(item, dict):
                yield _candidate(document, item, where)
            else:
                message = f"devices[{index}] is not a device; each item is a mapping with a serial_number"
                yield Finding("RC303", message, "write `- serial_number: …`", document.file, where)


def _no_device(document: Document) -> Finding:
    if document.value is None or document.value is ABSENT:
        fix = "declare a device in it, beginning with `serial_number: `, or delete it"
        return Finding("RC108", "the file declares no device", fix, document.file, "")
    shape = "a list" if isinstance(document.value, list) else "plain text"
    fix = "write `devices:` above the list" if shape == "a list" else "begin it with `serial_number: `"
    return Finding(
        "RC301", f"the file holds {shape}; expected one device, or `devices` with a list", fix, document.file, ""
    )


def _candidate(document: Document, value: dict[str, Json], where: str) -> Candidate:
    serial = value.get("serial_number")
    usable = Serial(serial) if isinstance(serial, str) and SERIAL.fullmatch(serial) else None
    return Candidate(usable, value, Source(document.file, *document.places[where]), where)


def _serial_findings(candidate: Candidate) -> Iterator[Finding]:
    if candidate.serial is not None:
        return
    file, where = candidate.source.file, candidate.pointer + "/serial_number"
    if "serial_number" not in candidate.value:
        yield Finding("RC304", f"{candidate.label()} has no serial_number", _missing_fix(candidate), file, where)
        return
    serial = candidate.value["serial_number"]
    if serial is None:
        yield Finding("RC305", "serial_number is empty", "write the serial number of the device", file, where)
    elif not isinstance(serial, str):
        kind = "true or false" if isinstance(serial, bool) else "a number"
        kind = "a list" if isinstance(serial, list) else "a mapping" if isinstance(serial, dict) else kind
        message = f"serial_number reads as {kind}; it must be a string"
        yield Finding("RC305", message, "write it in quotes", file, where, unquoted=True)
    else:
        shown = serial if len(serial) <= 40 else serial[:40] + "…"  # noqa: PLR2004 - enough to know it by
        message = f'serial_number is "{shown}"; expected letters, digits, ".", "_" and "-"'
        message += ", at most 128, beginning with a letter or digit"
        yield Finding("RC306", message, _serial_fix(serial), file, where)


def _missing_fix(candidate: Candidate) -> str:
    from difflib import get_close_matches

    close = get_close_matches("serial_number", candidate.value, 1, 0.6)
    return f'rename "{close[0]}" to serial_number' if close else "add `serial_number: …` as its first line"


def _serial_fix(serial: str) -> str:
    if serial.strip() != serial:
        return "delete the spaces around it"
    return "write it as the device's label and the API show it"


def _duplicate(candidate: Candidate, other: Candidate) -> Finding:
    file, where = candidate.source.file, candidate.pointer + "/serial_number"
    also = (other.source.file, other.pointer + "/serial_number")
    if candidate.serial == other.serial:
        message = f"{candidate.serial} is declared twice; first at"
        return Finding("RC307", message, "keep one of the two", file, where, also=also)
    message = f"{candidate.serial} differs only in case from {other.serial} at"
    return Finding("RC308", message, "keep one of the two, spelled as the API spells it", file, where, also=also)


def _reserved(candidate: Candidate, value: Json, keys: tuple[str | int, ...]) -> Iterator[Finding]:
    """Keys that begin with `$`, at any depth: they will mean something, so they cannot be data."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key[:1] == "$":
                message = f"{candidate.label(*keys, key)}: keys that begin with $ are reserved"
                where = candidate.pointer + pointer.join(*keys, key)
                yield Finding("RC404", message, "rename the key", candidate.source.file, where, at_key=True)
            if isinstance(inner, (dict, list)):
                yield from _reserved(candidate, inner, (*keys, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, (dict, list)):
                yield from _reserved(candidate, inner, (*keys, index))

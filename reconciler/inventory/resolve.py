"""Documents -> candidates: which devices the files declare, under which serials, and what their layers make of them."""

import re
from collections.abc import Iterable, Iterator
from datetime import date

from reconciler import pointer
from reconciler.inventory.document import DEFAULTS, GROUPS, Candidate, Document, Finding
from reconciler.inventory.layering import Layering, Stack, doubtful, not_for_many
from reconciler.inventory.layers import layer
from reconciler.inventory.merge import ListRules
from reconciler.model import ABSENT, Device, Json, Manage, Serial, Source

SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Cannot be `.` or `..`, and needs no escape in a path."""


def resolve(
    documents: Iterable[Document],
    *,
    defaults: Iterable[Document] = (),
    groups: Iterable[Document] = (),
    rules: ListRules | None = None,
    today: date = date.min,
    known: Iterable[str] | None = None,
) -> tuple[list[Candidate], list[Finding]]:
    """All candidates in order of files and places, and what is wrong with the shape of files, serials and layers.

    `defaults` are the `_defaults.yaml` files, `groups` those of `_groups`. `known` are the fields of the schema, if
    these are all devices: only then it shows what layers say in vain.
    """
    layering = Layering(defaults, groups, rules or ListRules(), today)
    candidates, findings = declared(documents, layering)
    findings = [*layering.findings, *findings]
    return candidates, findings + list(layering.afterwards(known) if known is not None else ())


def declared(documents: Iterable[Document], layering: Layering) -> tuple[list[Candidate], list[Finding]]:
    """The candidates in some files, under layers that are known already, and what is wrong in these files."""
    candidates: list[Candidate] = []
    findings: list[Finding] = []
    first: dict[str, Candidate] = {}
    for document in documents:
        stack = layering.stack(document.path)
        for item in _candidates(document, stack):
            if isinstance(item, Finding):
                findings.append(item)
                continue
            candidates.append(item)
            findings += _serial_findings(item)
            if item.serial is None:
                continue
            other = first.setdefault(item.serial.casefold(), item)
            if other is not item:
                findings.append(_duplicate(item, other))
    return candidates, findings


def devices(candidates: Iterable[Candidate]) -> dict[Serial, Device]:
    """The candidates with a serial, as devices."""
    return {item.serial: _device(item.serial, item) for item in candidates if item.serial is not None}


def _device(serial: Serial, candidate: Candidate) -> Device:
    fields = dict(candidate.value)
    fields.pop("serial_number", None)
    manage: Manage = "apply"
    for item in candidate.layers:
        manage = item.manage or manage
    return Device(serial, fields, candidate.source, candidate.layers, manage, candidate.replaces)


def _candidates(document: Document, stack: Stack) -> Iterator[Candidate | Finding]:
    """The file's one device, or those of its `devices` list."""
    value = document.value
    if not isinstance(value, dict):
        yield _no_device(document)
    elif "devices" not in value:
        yield from _candidate(document, value, "", stack)
    else:
        items = value["devices"]
        for key in value:
            if key not in {"devices", "defaults"}:
                message = f'"{key}" stands beside `devices`; a file holds either one device or a list of them'
                fix = "move it under `defaults:` if it is meant for all of them, or into each device of the list"
                yield Finding("RC302", message, fix, document.file, pointer.join(key), at_key=True)
        if "defaults" in value:
            shared = value["defaults"]
            if isinstance(shared, dict):
                made, findings = layer(f"defaults of {document.file}", document.file, "/defaults", shared)
                yield from findings
                yield from doubtful(made, stack.layering.today)
                yield from not_for_many(shared, document.file, "/defaults")
                stack = stack.with_own(made)
            else:
                fix = "write the values that all devices of this file share under it"
                yield Finding("RC303", "`defaults` is not a mapping", fix, document.file, "/defaults")
        if not isinstance(items, list) or not items:
            message = "`devices` is " + ("an empty list" if items == [] else "not a list")
            fix = "write each device under it as a list item: `  - serial_number: …`"
            yield Finding("RC303", message, fix, document.file, "/devices")
            return
        for index, item in enumerate(items):
            where = pointer.join("devices", index)
            if isinstance(item, dict):
                yield from _candidate(document, item, where, stack)
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


def _candidate(document: Document, value: dict[str, Json], where: str, stack: Stack) -> Iterator[Candidate | Finding]:
    serial = value.get("serial_number")
    usable = Serial(serial) if isinstance(serial, str) and SERIAL.fullmatch(serial) else None
    own, findings = layer("device", document.file, where, value, plain=document.plain)
    yield from findings
    resolved = stack.resolved(own, usable)
    yield from resolved.findings
    fields = resolved.fields if "serial_number" not in value else {"serial_number": serial, **resolved.fields}
    replaces = value.get("$replaces")
    if "$replaces" in value and not (isinstance(replaces, str) and SERIAL.fullmatch(replaces)):
        message, fix = (
            "$replaces is not a serial number",
            "write the serial number of the device that this one replaces",
        )
        yield Finding("RC619", message, fix, document.file, where + "/$replaces", unquoted=True)
        replaces = None
    yield Candidate(
        usable,
        fields,
        Source(document.file, *document.places[where]),
        where,
        resolved.layers,
        Serial(replaces) if isinstance(replaces, str) else None,
    )


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

    if close := get_close_matches("serial_number", candidate.value, 1, 0.6):
        return f'rename "{close[0]}" to serial_number'
    if {"group", "select"} <= candidate.value.keys():
        return f"a group belongs into {GROUPS} at the top of the inventory: move the file there"
    if candidate.source.file.rpartition("/")[2].partition(".")[0].lower() in {"default", "defaults"}:
        return f"defaults of a folder belong into {DEFAULTS}: rename the file"
    return "add `serial_number: …` as its first line"


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

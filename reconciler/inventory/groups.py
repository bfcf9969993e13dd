"""Groups: layers that reach the devices which their `select` matches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from reconciler.canonical import canonical
from reconciler.inventory.document import Document, Finding
from reconciler.inventory.layers import layer
from reconciler.inventory.merge import ListRules, leaves, overlaps
from reconciler.inventory.wording import kind
from reconciler.model import ABSENT, Json, Layer, Value
from reconciler.pointer import get, join, within
from reconciler.printable import dotted

_KEYS = ("group", "priority", "select", "set")


@dataclass(frozen=True, slots=True)
class Group:
    """Its layer, whom it selects, and its rank: of two groups, the one with the higher priority lies on top."""

    name: str
    priority: int
    select: Mapping[str, Json]
    layer: Layer


def groups(documents: Iterable[Document]) -> tuple[list[Group], list[Finding]]:
    """The groups in the files of `_groups`, lowest first, and what is wrong with them each and among each other."""
    found: list[Group] = []
    findings: list[Finding] = []
    names: dict[str, str] = {}
    for document in documents:
        wrong = list(_wrong(document))
        findings += wrong
        if not isinstance(document.value, dict) or wrong:
            continue
        value = document.value
        name = str(value["group"])
        if name in names:
            message = f"the group {name} is declared twice; first at"
            also = (names[name], "/group")
            findings.append(Finding("RC606", message, "rename one of the two", document.file, "/group", also=also))
            continue
        names[name] = document.file
        values = value["set"]
        made, wrong = layer(f"group {name}", document.file, "/set", values if isinstance(values, dict) else {})
        findings += wrong
        priority, select = value.get("priority", 0), value["select"]
        if isinstance(priority, int) and isinstance(select, dict):
            found.append(Group(name, priority, select, made))
    findings += _cycles(found)
    return sorted(found, key=lambda group: (group.priority, group.name)), findings


def selected(group: Group, fields: Mapping[str, Json], labels: Mapping[str, str]) -> bool:
    """Whether a device with these fields, which no group has touched, and labels belongs to the group."""
    return all(
        _matches(wanted, {**labels} if key == "$labels" else fields.get(key, ABSENT))
        for key, wanted in group.select.items()
    )


def knows(path: str, fields: Mapping[str, Json], labels: Mapping[str, str]) -> bool:
    """Whether a device has the value that a `select` looks at."""
    return get({**fields, "$labels": {**labels}}, path) is not ABSENT


def looked_at(group: Group) -> Iterator[str]:
    """The pointers that its `select` looks at."""
    yield from _tips(group.select, "")


def unknown(group: Group, path: str, known: Iterable[str]) -> Finding:
    """A `select` by what no device has and the schema does not know; `known` is what it might have meant."""
    name = path.rpartition("/")[2]
    close = get_close_matches(name, known, 1)
    what = f"the label {name}" if path.startswith("/$labels/") else path[1:].replace("/", ".")
    fix = f"did you mean {close[0]}?" if close else "select by a field or a label that devices have"
    message = f"the group {group.name} selects by {what}, which no device has"
    return Finding("RC607", message, fix, group.layer.file, "/select" + path, at_key=True)


def disagreements(one: Group, other: Group, rules: ListRules) -> Iterator[Finding]:
    """What two groups of equal priority, which select the same device, say differently."""
    if other.priority != one.priority:
        return
    both = f"the groups {one.name} and {other.name} have the same priority"
    for path, place, there in overlaps(one.layer, other.layer, rules):
        message = f"{both} and disagree on {dotted(path)}, also at"
        fix = "give one of them a higher priority, or delete one of the two lines"
        yield Finding("RC609", message, fix, one.layer.file, place, also=(other.layer.file, there))


def _wrong(document: Document) -> Iterator[Finding]:
    value, file = document.value, document.file
    if not isinstance(value, dict):
        fix = "write group, select and set, as docs/inventory.md shows"
        yield Finding("RC605", "the file declares no group", fix, file, "")
        return
    for key in value:
        if key not in _KEYS:
            close = get_close_matches(key, _KEYS, 1)
            means = f"did you mean {close[0]}?" if close else "values for devices belong under set"
            message = f"{key} means nothing in a group; it has {', '.join(_KEYS)}"
            yield Finding("RC605", message, means, file, join(key), at_key=True)
    name, priority = value.get("group"), value.get("priority", 0)
    if not (isinstance(name, str) and name):
        yield Finding("RC605", "the group has no name", "add `group: NAME`", file, "/group", unquoted=name is not None)
    if type(priority) is not int:
        message = f"priority is {kind(priority)}; expected a whole number"
        yield Finding("RC605", message, "write one, such as 10", file, "/priority")
    yield from _wrong_select(value.get("select"), file)
    yield from _wrong_set(value.get("set"), file)


def _wrong_select(select: Json, file: str) -> Iterator[Finding]:
    if not isinstance(select, dict) or not select:
        message = f"select is {kind(select)}; expected a mapping" if select else "the group selects no devices"
        fix = "write it like select: {device_type: kiosk}; what is for all devices belongs into _defaults.yaml"
        yield Finding("RC605", message, fix, file, "/select")
        return
    for key in select:
        if key[:1] == "$" and key != "$labels":
            fix = "select by fields, tags or $labels"
            yield Finding("RC605", f"groups cannot select by {key}", fix, file, "/select" + join(key), at_key=True)


def _wrong_set(values: Json, file: str) -> Iterator[Finding]:
    if not isinstance(values, dict):
        yield Finding("RC605", "the group sets nothing", "write the values under `set:`", file, "/set")
        return
    reasons = {
        "$labels": "groups are selected by labels",
        "$replaces": "it is about one device",
        "serial_number": "it belongs to one device",
    }
    for key, why in reasons.items():
        if key in values:
            fix = "set it in _defaults.yaml or in the devices"
            yield Finding("RC605", f"a group may not set {key}: {why}", fix, file, "/set" + join(key), at_key=True)


def _cycles(found: Sequence[Group]) -> Iterator[Finding]:
    """What a group sets may decide no group's membership: then the order of groups would decide who belongs to them."""
    looked = [(path, group) for group in found for path in looked_at(group)]
    for group in found:
        said = [(path, place) for path, _, place in leaves(group.layer)] + [*group.layer.unset.items()]
        for path, place in said:
            for wanted, selecting in looked:
                if within(path, wanted) or within(wanted, path):
                    what = "itself" if selecting is group else f"the group {selecting.name}"
                    message = f"the group {group.name} sets {dotted(path)}, by which {what} selects, at"
                    fix = "select by a label instead, or set it in _defaults.yaml or in the devices"
                    also = (selecting.layer.file, "/select" + wanted)
                    yield Finding("RC608", message, fix, group.layer.file, place, also=also)


def _matches(wanted: Json, value: Value) -> bool:
    if isinstance(wanted, list):
        return any(_matches(item, value) for item in wanted)
    if value is ABSENT:
        return False
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(_matches(item, value.get(key, ABSENT)) for key, item in wanted.items())
    if isinstance(value, list):
        return any(_matches(wanted, item) for item in value)
    if isinstance(wanted, str) and isinstance(value, str):
        return fnmatchcase(value, wanted)
    return canonical(wanted) == canonical(value)


def _tips(value: Mapping[str, Json], path: str) -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _tips(inner, path + join(key))
        else:
            yield path + join(key)

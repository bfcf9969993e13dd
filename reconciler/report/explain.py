"""Why a device is as it is, as text for people.

What is shown is printable characters only, whatever files, servers, authors of commits or CI variables contain.
"""

from collections.abc import Iterable, Iterator, Sequence

from click import style

from reconciler.model import ABSENT, Action, Carried, EntryKind, Explanation, FieldChange, Provenance, Said, Value
from reconciler.printable import dotted, printable
from reconciler.printable import value as as_json

Row = tuple[str, ...]

MASK = "(sensitive)"
WIDEST = 48
"""A cell that is wider does not widen its column."""
OUTCOMES = {
    EntryKind.DIVERGENT: "divergent",
    EntryKind.ACCEPTED: "accepted without being shown",
}


def explain_text(explanation: Explanation) -> str:
    """The device and all its values in a table; or the whole story of the values that a path was asked for."""
    lines = [*_device(explanation), ""]
    if explanation.path:
        for item in explanation.values:
            lines += [*_story(item, explanation), ""]
    else:
        lines += [*_table(explanation), *_remarks(explanation.values), *_end(explanation), ""]
    return "\n".join(line.rstrip() for line in lines[:-1])


def _device(it: Explanation) -> Iterator[str]:
    where = str(it.source) if it.source else "no longer in the inventory"
    yield f"{style(printable(it.serial), bold=True)}  {style(printable(where), dim=True)}"
    rows: list[Row] = []
    for name, found in (("labels", it.labels), ("groups", it.groups)):
        for index, item in enumerate(found):
            said = f"{item.name}: {item.text}" if item.text else item.name
            rows.append((name if index == 0 else "", said, str(item.source)))
    if it.managed_at:
        rows.append(("manage", it.manage, str(it.managed_at)))
    if it.replaces:
        rows.append(("replaces", it.replaces, ""))
    yield from _columns(rows)


def _table(it: Explanation) -> Iterator[str]:
    """Each declared value with where it comes from; then what the plan gives up."""
    rows: list[Row] = []
    for item in it.values:
        if item.value is ABSENT and item.applied is ABSENT:
            continue
        winners = [said for said in item.said if said.wins]
        if item.value is ABSENT:
            note = "not declared"
        else:
            note = ", ".join(str(said.source) for said in winners)
            shadowed = sum(said.verb in {"sets", "overrides"} and not said.wins for said in item.said)
            raw = [_shown(said.value, item) for said in winners if _is_template(said, item)]
            note += "".join(f"  from {text}" for text in raw) + (f"  (shadows {shadowed})" if shadowed else "")
        rows.append((dotted(item.path), _shown(item.applied if item.value is ABSENT else item.value, item), note))
    yield from _columns(rows)


def _remarks(values: Sequence[Provenance]) -> Iterator[str]:
    """What words did beside setting values: each once, however many values it concerns."""
    rows: dict[tuple[str, str], Row] = {}
    for item in values:
        for said in item.said:
            if said.verb != "sets":
                rows[str(said.source), said.verb] = (
                    _verb(said),
                    dotted(said.path),
                    _reason(said),
                    str(said.source),
                )
    if rows:
        yield ""
        yield from _columns(rows.values())


def _end(it: Explanation) -> Iterator[str]:
    """How the device stands, and what the plan would do."""
    yield ""
    standing = it.standing if it.standing not in {"", "applied"} else ""
    never = "" if it.standing else "never"
    applied = "; ".join(word for word in (standing, _run(it.carried) if it.carried else never) if word)
    rows: list[Row] = [("applied", applied), ("plan", _plan(it))]
    if it.action not in {Action.ADOPT, Action.REPLACE}:
        rows += [("", f"{dotted(item.path)}  {_change(item, item.change)}") for item in it.values if item.change]
    yield from _columns(rows)


def _story(item: Provenance, it: Explanation) -> Iterator[str]:
    """One value from the top layer down: who says it, what that hides, when it was applied, and what comes next."""
    declared = f" = {_shown(item.value, item)}" if item.value is not ABSENT else " is not declared"
    yield style(dotted(item.path), bold=True) + printable(declared)
    rows: list[Row] = []
    beneath = False
    for said in reversed(item.said):
        hidden = beneath and said.verb not in {"locks", "overrode"} and not said.wins
        what = _verb(said) + (", shadowed" if hidden else "")
        beneath |= said.wins
        layer = said.layer.removesuffix(said.source.file).removesuffix(" of ")
        rows.append(("→" if said.wins else "", what, _says(said, item), str(said.source), layer, _reason(said)))
    yield from _columns(rows)
    wrote = dict.fromkeys((str(said.source), _blame(said)) for said in reversed(item.said) if said.blame)
    lines: list[Row] = [("line", text, place if len(wrote) > 1 else "") for place, text in wrote]
    yield from _columns([*lines, *_settled(item, it)])


def _settled(item: Provenance, it: Explanation) -> Iterator[Row]:
    if item.carried:
        last = _shown(item.applied, item) if item.applied is not ABSENT else "given up"
        yield "applied", f"{last}  {_run(item.carried)}"
    else:
        yield "applied", "never"
    if item.unknown:
        yield "unknown", "the last PUT of this field has no trustworthy answer"
    for found in item.divergence:
        sent = "was removed" if found.sent is ABSENT else f"was sent as {_shown(found.sent, item)}"
        held = "lacks it" if found.echoed is ABSENT else f"holds {_shown(found.echoed, item)}"
        yield "divergent", f"{dotted(found.path)} {sent}; the server {held}"
    if item.unconfirmed:
        yield "unconfirmed", "accepted by the server, never shown"
    yield "plan", f"{_plan(it)}  {_change(item, item.change)}" if item.change and it.manage != "pause" else _idle(it)


def _idle(it: Explanation) -> str:
    """What the plan does about a value that stays as it is."""
    gone = it.action is Action.RELEASE or it.replaced_by
    return _plan(it) if gone or it.manage == "pause" else "no change"


def _plan(it: Explanation) -> str:
    if it.manage == "pause":
        return "nothing: the device is paused"
    if it.replaced_by:
        held = ", once that one is no longer observed" if it.manage == "observe" else ""
        return f"replaced by {it.replaced_by}, and forgotten{held}: nothing is sent"
    if it.action is Action.RELEASE:
        return "release: no longer in the inventory, forgotten, nothing is sent"
    if it.action is Action.DECOMMISSION:
        return "decommission: no longer in the inventory, one last PUT"
    if not it.action:
        return "no change"
    return f"{it.action}, only observed: nothing is sent" if it.manage == "observe" else str(it.action)


def _change(item: Provenance, change: FieldChange) -> str:
    before, after = (
        MASK if change.sensitive and side is not ABSENT else as_json(side) for side in (change.before, change.after)
    )
    if change.after is ABSENT:
        return f"no longer managed; the device keeps {before}" if item.kept else f"{before} → removed"
    return f"{before} → {after}" if before else after


def _says(said: Said, item: Provenance) -> str:
    if said.verb in {"unsets", "locks"}:
        return "" if said.path == item.path else dotted(said.path)
    text = _shown(said.value, item)
    return text if said.path == item.path else f"{dotted(said.path)} = {text}"


def _verb(said: Said) -> str:
    if said.verb in {"overrides", "overrode"}:
        return "overrides" if said.verb == "overrides" else "expired"
    return said.verb


def _reason(said: Said) -> str:
    if said.until is None:
        return ""
    return f"{'until' if said.verb == 'overrides' else 'ended'} {said.until}: {said.reason}"


def _is_template(said: Said, item: Provenance) -> bool:
    return isinstance(said.value, str) and not item.sensitive and said.value != item.value


def _run(carried: Carried) -> str:
    how = OUTCOMES.get(carried.kind, "")
    words = [
        f"{carried.at[:10]} {carried.at[11:16]}Z",
        f"by {carried.by}" if carried.by else "",
        f"run {carried.run}" if carried.run else "",
        f"commit {carried.commit[:12]}" if carried.commit else "",
        carried.url,
    ]
    return ("" if not how else f"{how} ") + ", ".join(word for word in words if word)


def _blame(said: Said) -> str:
    found = said.blame
    if found is None or not found.commit:
        return "not committed yet"
    earlier = " or earlier" if found.or_earlier else ""
    request = f" {found.request}" if found.request and f"({found.request})" not in found.subject else ""
    return f"{found.day} {found.author}, {found.commit[:12]}{earlier}{request}: {found.subject}"


def _shown(value: Value, item: Provenance) -> str:
    if value is ABSENT:
        return ""
    return MASK if item.sensitive or value == MASK else as_json(value)


def _columns(rows: Iterable[Row]) -> Iterator[str]:
    """Rows of cells below each other, each cell printable. A wide cell does not push away those of other rows."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [
        max((size for row in cells if (size := len((row + [""] * index)[index])) <= WIDEST), default=0)
        for index in range(max(map(len, cells), default=0))
    ]
    for row in cells:
        text = "".join(
            f"{cell:<{width}}  " if width else f"{cell}  " if cell else ""
            for cell, width in zip(row, widths, strict=False)
        )
        yield "  " + text

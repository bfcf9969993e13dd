"""A plan as text for people: only what changes, and the same change once however many devices it concerns."""

from collections.abc import Callable, Iterator, Sequence

from click import style

from reconciler.model import ABSENT, Action, Change, FieldChange, Plan
from reconciler.pointer import split
from reconciler.printable import dotted, printable, value
from reconciler.report.guards import guards_text, refusals_text

SYMBOLS = {
    Action.ADOPT: "+",
    Action.REPLACE: "±",
    Action.UPDATE: "~",
    Action.RESEND: "!",
    Action.RELEASE: "-",
    Action.DECOMMISSION: "x",
}
COLORS = {"+": "green", "±": "green", "~": "yellow", "!": "magenta", "-": "red", "x": "red"}
LINES = 30
"""How many lines each action takes, a whole device more or less, unless all are asked for."""
DETAILED_ADOPTIONS = 3
"""Up to so many adopted devices are shown with all their fields."""
NAMED = 12
"""So many members of a group are named."""


def plan_text(plan: Plan, *, full: bool = False, refusals: bool = True) -> str:
    """The whole plan; `full` names every device. Without `refusals`, somebody else explains them."""
    return "\n".join([*plan_lines(plan, full=full, refusals=refusals), *guards_text(plan.guards)])


def plan_lines(plan: Plan, *, full: bool = False, refusals: bool = True) -> Iterator[str]:
    """The plan without the last section, of what the guards found."""

    def merges(name: str) -> bool:
        return (plan.nested if isinstance(plan.nested, str) else plan.nested.get(name)) == "merge"

    if plan.targets:
        yield f"Only devices that match: {printable(', '.join(plan.targets))}"
    yield from _changes(plan.changes, full, merges)
    yield from _standing(plan)
    if refusals and plan.refusals:
        yield from refusals_text(plan.guards)
        yield ""
    yield summary_line(plan)


def summary_line(plan: Plan) -> str:
    """How many devices each action concerns, or that none needs one."""
    unchanged = f"{plan.unchanged:,}"
    if not plan.changes:
        standing = len({item.serial for item in plan.standing})
        if standing:
            return style("No changes.", bold=True) + f" {standing:,} of {unchanged} devices do not stand as declared."
        every = f"All {unchanged} devices are" if plan.unchanged != 1 else "The one device is"
        return style("No changes.", bold=True) + f" {every} as declared."
    counts = {action: sum(change.action is action for change in plan.changes) for action in Action}
    rare = {Action.RESEND, Action.DECOMMISSION, Action.REPLACE}
    parts = [f"{counts[action]:,} to {action}" for action in Action if action not in rare or counts[action]]
    return style("Plan:", bold=True) + f" {', '.join(parts)}. {unchanged} unchanged."


def _changes(changes: Sequence[Change], full: bool, merges: Callable[[str], bool]) -> Iterator[str]:  # noqa: FBT001
    if not changes:
        return
    used = [action for action in Action if any(change.action is action for change in changes)]
    yield "  ".join(f"{_symbol(SYMBOLS[action])} {action}" for action in used)
    yield ""
    for action in used:
        groups = list(_groups([change for change in changes if change.action is action], full))
        brief = action is Action.ADOPT and not full and len(groups) > DETAILED_ADOPTIONS
        shown = list(groups if full else _first_lines(groups, brief=brief))
        width = max(len(_who(group)) for group in shown)
        for group in shown:
            yield from _group(group, width, brief, merges)
        hidden = sum(len(group) for group in groups[len(shown) :])
        if hidden:
            yield f"{_symbol(SYMBOLS[action])} … and {hidden:,} more to {action} (--full names them)"
        if brief or hidden or action is Action.RELEASE:
            yield ""


def _groups(changes: Sequence[Change], full: bool) -> Iterator[list[Change]]:  # noqa: FBT001 - private
    """Changes of the same shape together, in order of their first member; adoptions and `full` plans one by one."""
    shapes: dict[object, list[Change]] = {}
    for change in changes:
        single = full or change.action is Action.ADOPT or change.replaces
        shape = [(field.path, value(field.before), value(field.after)) for field in change.fields]
        shapes.setdefault(change.serial if single else repr(shape), []).append(change)
    yield from shapes.values()


def _first_lines(groups: Sequence[list[Change]], *, brief: bool) -> Iterator[list[Change]]:
    """As many groups as fit into LINES lines, and always one."""
    used = 0
    for group in groups:
        if used >= LINES:
            return
        used += 1 if brief or not group[0].fields else len(group[0].fields) + 2
        yield group


def _who(group: Sequence[Change]) -> str:
    if len(group) == 1:
        return group[0].serial
    names = ", ".join(change.serial for change in group[:NAMED])
    return f"{len(group):,} devices: {names}" + (", … (--full names them)" if len(group) > NAMED else "")


def _group(group: Sequence[Change], width: int, brief: bool, merges: Callable[[str], bool]) -> Iterator[str]:  # noqa: FBT001
    first = group[0]
    symbol = _symbol(SYMBOLS[first.action])
    place = f"{first.source.file}:{first.source.line}" if first.source and len(group) == 1 else ""
    note = {
        Action.REPLACE: f"in the place of {first.replaces}, which is forgotten",
        Action.RELEASE: "no longer in the inventory: forgotten, nothing is sent",
        Action.DECOMMISSION: "no longer in the inventory: one last PUT, then kept"
        if not first.unknown
        else "no longer in the inventory: one last PUT, with what had no answer, then kept",
        Action.RESEND: "the last PUT had no trustworthy answer: sent again"
        if first.unknown
        else "the server does not show what was sent: sent again",
    }.get(first.action, "")
    if first.replaces and first.action is not Action.REPLACE:
        note = f"{note or 'changed'}; stands in for {first.replaces}, which is forgotten"
    if brief:
        note = f"{len(first.fields)} field{'s' if len(first.fields) != 1 else ''}"
    head = f"{symbol} {style(_who(group), bold=True)}"
    pad = " " * (width - len(_who(group))) if brief or first.action is Action.RELEASE else ""
    yield head + pad + "".join(f"  {style(printable(part), dim=True)}" for part in (place, note) if part)
    if not brief and first.fields:
        names = max(len(dotted(field.path)) for field in first.fields)
        for field in first.fields:
            yield "    " + _field(field, names, place.rpartition(":")[0], merges)
        yield ""


def _field(field: FieldChange, width: int, file: str, merges: Callable[[str], bool]) -> str:
    symbol = "+" if field.before is ABSENT else "-" if field.after is ABSENT else "~"
    line = f"{_symbol(symbol)} {dotted(field.path):<{width}}  {_values(field, merges)}"
    if field.source and file:
        line += style(
            f"  :{field.source.line}" if field.source.file == file else f"  {printable(str(field.source))}", dim=True
        )
    return line


def _values(field: FieldChange, merges: Callable[[str], bool]) -> str:
    before, after = ("(sensitive)",) * 2 if field.sensitive else (value(field.before), value(field.after))
    if field.before is ABSENT:
        return after
    if field.after is not ABSENT:
        return f"{before} → {after}"
    name, *inside = split(field.path)
    if inside and not merges(name):
        return f"{before} → removed"
    return f"no longer managed; the device keeps {before}"


def _standing(plan: Plan) -> Iterator[str]:
    shown = plan.standing[:LINES]
    for item in shown:
        for found in item.divergence[:NAMED]:
            held = "lacks it" if found.echoed is ABSENT else f"holds {value(found.echoed)}"
            sent = "was removed" if found.sent is ABSENT else f"was sent as {value(found.sent)}"
            yield f"{style('divergent', fg='yellow')} {item.serial}: {dotted(found.path)} {sent}; the server {held}"
        if item.unconfirmed:
            names = ", ".join(printable(name) for name in item.unconfirmed)
            yield f"{style('unconfirmed', fg='yellow')} {item.serial}: {names} accepted by the server, never shown"
    if len(plan.standing) > len(shown):
        yield f"… and {len(plan.standing) - len(shown):,} more divergent or unconfirmed (reconciler state list)"
    if shown:
        yield "Declare what the server holds, or send again what was declared: reconciler apply --resend"
        yield ""


def _symbol(symbol: str) -> str:
    return style(symbol, fg=COLORS[symbol], bold=True)

"""A plan as text for people: what one line causes once, what changes alike once, and no more than fits on a screen."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from click import style, unstyle

from reconciler.brief import actions
from reconciler.model import ABSENT, Action, Divergence, Plan, Serial
from reconciler.printable import dotted, printable, value
from reconciler.report.guards import guards_text, refusals_text
from reconciler.report.lines import NAMED, Merges
from reconciler.report.screen import MORE, full_lines, legend, screen_lines

SCREEN = 40
"""Lines of a whole plan, unless all are asked for."""
LEAST = 18
"""Lines that the changes take if need be, however many refusals there are."""
OBSERVED = 8
"""Lines for devices that are only observed, with the title."""
STANDING = 4
"""Lines for what stands."""
NAMES = 120
"""Characters of a list of names."""
UNUSUAL = {Action.RESEND, Action.DECOMMISSION, Action.REPLACE}
"""Actions that are not mentioned where there are none."""


def plan_text(plan: Plan, *, full: bool = False, refusals: bool = True) -> str:
    """The whole plan; `full` names every device and every field. Without `refusals`, somebody else explains them."""
    guards = [*guards_text(plan.guards)]
    return "\n".join([*plan_lines(plan, full=full, refusals=refusals, below=len(guards)), *guards])


def plan_lines(
    plan: Plan, *, full: bool = False, refusals: bool = True, below: int = 0, more: str = MORE
) -> Iterator[str]:
    """The plan without the last section, of what the guards found, which takes `below` lines.

    `more` tells whoever does not see all where it is.
    """
    merges = merges_of(plan)
    head = [f"Only devices that match: {_cut(', '.join(plan.targets), full=full)}"] if plan.targets else []
    head += legend(set(actions(plan.changes))) if plan.changes else []
    refused = [*refusals_text(plan.guards), ""] if refusals and plan.refusals else []
    tail = [*_paused(plan, full=full), *_standing(plan, full=full), *refused, summary_line(plan)]
    if full:
        changes, observed = full_lines(plan.changes, merges), full_lines(plan.observed, merges)
    else:
        room = SCREEN - len(head) - len(tail) - below
        aside = OBSERVED if plan.observed else 0
        changes = screen_lines(plan.changes, merges, max(LEAST, room - aside), more)
        observed = screen_lines(plan.observed, merges, aside - 1, more)
    yield from head
    yield from changes
    yield from _observed(observed, more)
    yield from tail


def merges_of(plan: Plan) -> Merges:
    """Which objects the plan sends key by key."""
    return lambda name: (plan.nested if isinstance(plan.nested, str) else plan.nested.get(name)) == "merge"


def unreviewed_text(plan: Plan) -> str:
    """What was not reviewed of a plan, folded; each device with those fields only."""
    return "\n".join([style("Not reviewed:", fg="red", bold=True), "", *plan_lines(plan)][:-1]).rstrip("\n")


def summary_line(plan: Plan) -> str:
    """How many devices each action concerns, or that none needs one; then those that no action is for."""
    aside = [f"{len(plan.observed):,} observed"] if plan.observed else []
    aside += [f"{len(plan.paused):,} paused"] if plan.paused else []
    if plan.changes:
        counts = Counter(actions(plan.changes))
        parts = [f"{counts[action]:,} to {action}" for action in Action if counts[action] or action not in UNUSUAL]
        unchanged = ", ".join([f"{plan.unchanged:,} unchanged", *aside])
        return style("Plan:", bold=True) + f" {', '.join(parts)}. {unchanged}."
    one = plan.unchanged == 1
    if standing := len({item.serial for item in plan.standing}):
        who = "The one device" if one else f"{standing:,} of {plan.unchanged:,} devices"
        state = f"{who} do{'es' if standing == 1 else ''} not stand as declared"
    elif aside:
        state = f"{plan.unchanged:,} device{' is' if one else 's are'} as declared"
    else:
        state = "The one device is as declared" if one else f"All {plan.unchanged:,} devices are as declared"
    differ = [f"{len(plan.observed):,} observed and different"] if plan.observed else []
    return style("No changes.", bold=True) + f" {', '.join([state, *differ, *aside[len(differ) :]])}."


def _observed(lines: Iterable[str], more: str) -> Iterator[str]:
    """Set apart, and with no symbol at the start of a line, so that nobody takes them for what is sent."""
    quoted = [f"  | {line}" for line in lines if line and unstyle(line) != more]
    if quoted:
        yield style("Observed, not sent ($manage: observe):", bold=True)
        yield from quoted
        yield ""


def _paused(plan: Plan, *, full: bool) -> Iterator[str]:
    if plan.paused:
        yield f"{style('Paused, left alone ($manage: pause):', bold=True)} {_names(plan.paused, full=full)}"
        yield ""


def _standing(plan: Plan, *, full: bool) -> Iterator[str]:
    """What holds for many devices once, or everything for each device."""
    said: dict[tuple[Serial | None, str, str], list[Serial]] = {}
    for item in plan.standing:
        apart = item.serial if full else None
        for found in item.divergence:
            said.setdefault((apart, "divergent", _divergent(found)), []).append(item.serial)
        if item.unconfirmed:
            names = ", ".join(printable(name) for name in item.unconfirmed)
            text = f"{_cut(names, full=full)} accepted by the server, never shown"
            said.setdefault((apart, "unconfirmed", text), []).append(item.serial)
    rows = sorted(said.items(), key=lambda row: -len(row[1]))
    shown = rows if full else rows[:STANDING]
    for (_, kind, text), serials in shown:
        who = serials[0] if len(serials) == 1 else f"{len(serials):,} devices: {_names(serials, full=full)}"
        yield f"{style(kind, fg='yellow')} {who}: {text}"
    if rows[len(shown) :]:
        devices = len({serial for _, serials in rows[len(shown) :] for serial in serials})
        yield f"… and more that is divergent or unconfirmed, on {devices:,} devices (reconciler state list)"
    if rows:
        yield "Declare what the server holds, or send again what was declared: reconciler apply --resend"
        yield ""


def _divergent(found: Divergence) -> str:
    held = "lacks it" if found.echoed is ABSENT else f"holds {value(found.echoed)}"
    sent = "was removed" if found.sent is ABSENT else f"was sent as {value(found.sent)}"
    return f"{dotted(found.path)} {sent}; the server {held}"


def _names(serials: Sequence[Serial], *, full: bool) -> str:
    shown = serials if full else serials[:NAMED]
    more = len(serials) - len(shown)
    return _cut(", ".join(shown), full=full) + (f", … and {more:,} more" if more else "")


def _cut(text: str, *, full: bool) -> str:
    text = printable(text)
    return text if full or len(text) <= NAMES else f"{text[:NAMES]} …"

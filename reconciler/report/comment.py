"""Plans and outcomes as comments on a pull request, and as step summaries: Markdown of a limited size.

The law: whatever devices, files and servers say is inside of a fence that it cannot close, on lines that it cannot
break. There it is no Markdown, no HTML, no mention, no reference and no marker.
"""

import re
from collections.abc import Iterator, Sequence

import click

from reconciler.model import Plan
from reconciler.printable import printable
from reconciler.report.guards import guards_table, verdict
from reconciler.report.lines import whole
from reconciler.report.markdown import diff_marked, fenced
from reconciler.report.text import merges_of, plan_lines, summary_line

COMMENT = 65_000
"""Bytes, so that there are never more than GitHub's 65,536 characters, and room to say that it is outdated."""
SUMMARY = 1_000_000
"""Bytes of a step summary; GitHub takes 1 MiB."""
LINE = 1_000
"""Characters of one line."""
GUARDS = 8_000
FOLDED = 24_000
REST = 6_000
"""Bytes for all that is neither guards nor changes, fences included."""
HELD = re.compile(r"<!-- reconciler plan [\w.-]+ -->\n<!-- head ([0-9a-f]+) digest ([0-9a-f]+|none) -->\n")
AGAIN = "Running the failed job again is always the right remedy: what is done is not sent again."


def marker(kind: str, name: str) -> str:
    """The first line of a comment, which nobody sees: what it is about."""
    return f"<!-- reconciler {kind} {name} -->"


def plan_comment(plan: Plan, *, name: str, head: str, url: str, artifact: str) -> str:
    """The comment about a plan: what it does, what the guards say, what changes and why, and each device."""
    return _headed(name, head, plan.digest) + plan_summary(plan, name=name, url=url, artifact=artifact, most=COMMENT)


def plan_summary(plan: Plan, *, name: str, url: str, artifact: str, most: int = SUMMARY) -> str:
    """The same without a marker, in `most` bytes: whole devices are left out, and counted."""
    parts = [f"### {click.unstyle(summary_line(plan))}", *_subject(name)]
    if plan.refusals:
        rules = ", ".join(f"`{refusal.rule}`" for refusal in plan.refusals)
        parts += [f"**Refused by {rules}: it will not be applied like this.**", ""]
    if plan.guards:
        table = _cut([*guards_table(plan.guards)], GUARDS)
        parts += _details(f"Guards: {verdict(plan.guards)}", table, opened=bool(plan.refusals))
    if plan.changes or plan.standing or plan.observed or plan.paused:
        everything = f"More is below; the artifact {artifact} has everything."
        folded = _lines(plan_lines(plan, refusals=False, more=everything))
        parts += _details("Changes, by what causes them", _cut(folded, FOLDED), opened=True)
        if _lines(plan_lines(plan, full=True, refusals=False)) != folded:
            room = most - REST - _size("\n".join(parts))
            parts += _details("Every device and every field", _devices(plan, room, artifact), opened=False)
    return "\n".join([*parts, _foot(plan, url, artifact), ""])


def no_plan(title: str, text: str, *, name: str, head: str) -> str:
    """The comment where there is no plan, and why."""
    return _headed(name, head, "") + stopped(f"No plan: {title}", text, name=name, most=COMMENT)


def stopped(title: str, text: str, *, name: str, most: int = SUMMARY) -> str:
    """Why something did not happen. `title` is ours, `text` anybody's."""
    lines = _cut([printable(line) for line in click.unstyle(text).split("\n")], most - REST)
    return "\n".join([f"### {title}", *_subject(name), *_fence(lines), ""])


def apply_comment(title: str, text: str, *, name: str, url: str, again: bool, most: int = COMMENT) -> str:
    """What became of an apply; `again`: whether there is something that another run may mend."""
    link = f"[The run]({url}) has the whole report." if url else ""
    remedy = [f"{AGAIN} {link}".strip()] if again else [link] if link else []
    return f"{marker('apply', name)}\n{stopped(title, text, name=name, most=most)}\n" + "\n".join([*remedy, ""])


def held(body: str) -> tuple[str, str] | None:
    """Head and digest of the plan that a comment of ours is about; None if it holds none."""
    found = HELD.match(body.replace("\r\n", "\n"))
    return (found[1], found[2]) if found else None


def outdated(body: str, head: str) -> str:
    """A comment of ours as it is to read once `head` is the head: it says so, once."""
    found = HELD.match(body.replace("\r\n", "\n"))
    if found is None or found[1] == head or "\n> **Outdated**" in body[: found.end() + 20]:
        return body
    rest = body.replace("\r\n", "\n")[found.end() :]
    note = f"> **Outdated**: this is about {found[1][:12]}, and the head is {head[:12]} now."
    return f"{found[0]}\n{note}\n\n{rest.lstrip()}"


def _headed(name: str, head: str, digest: str) -> str:
    return f"{marker('plan', name)}\n<!-- head {head} digest {digest or 'none'} -->\n"


def _subject(name: str) -> list[str]:
    return [""] if name == "default" else ["", f"Target: `{name}`", ""]


def _foot(plan: Plan, url: str, artifact: str) -> str:
    run = f' · <a href="{url}">run</a>' if url else ""
    return f"<sub>digest {plan.digest} · state revision {plan.revision} · artifact {artifact}{run}</sub>"


def _details(title: str, lines: Sequence[str], *, opened: bool) -> list[str]:
    return [f"<details{' open' if opened else ''}><summary>{title}</summary>", "", *_fence(lines), "", "</details>", ""]


def _fence(lines: Sequence[str]) -> list[str]:
    return [*fenced("\n".join(diff_marked("\n".join(lines))))]


def _lines(styled: Iterator[str]) -> list[str]:
    """Without the last one, the summary, which is the title."""
    return click.unstyle("\n".join(styled)).split("\n")[:-1]


def _devices(plan: Plan, room: int, artifact: str) -> list[str]:
    """As many devices as fit, whole; and how many do not. Of a device that alone does not fit, as many lines."""
    merges = merges_of(plan)
    shown: list[str] = []
    for number, change in enumerate(plan.changes):
        block = [line[:LINE] for line in click.unstyle("\n".join(whole([change], 0, merges))).split("\n")]
        left = len(plan.changes) - number
        if _size("\n".join(block)) > room:
            if not shown:
                shown, left = _cut(block, room), left - 1
            more = f"… and {left:,} more devices: " if left else "… "
            return [*shown, f"{more}the artifact {artifact} has everything"]
        shown += block
        room -= _size("\n".join(block)) + 1
    return shown


def _cut(lines: Sequence[str], room: int) -> list[str]:
    """As many lines as fit, none of them endless; and how many do not."""
    shown: list[str] = []
    for number, line in enumerate(lines):
        text = line if len(line) <= LINE else f"{line[:LINE]} …"
        room -= _size(text) + 1
        if room < 0:
            return [*shown, f"… and {len(lines) - number:,} more lines"]
        shown.append(text)
    return shown


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))

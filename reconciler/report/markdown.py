"""A plan as Markdown, for step summaries and comments. Nothing in it can be anything but text."""

from collections.abc import Iterator

import click

from reconciler.model import Plan
from reconciler.report.guards import guards_table, verdict
from reconciler.report.text import plan_lines, summary_line

LIMIT = 60_000
"""Characters of the plan; what a comment or a summary takes, with room for the rest."""
MORE = "reconciler plan --full shows every device and every field."


def plan_markdown(plan: Plan, *, full: bool = False) -> str:
    """The summary, what needs attention, the plan in a fence that colours its lines, and what the guards found."""
    lines = [f"### {_bare(summary_line(plan))}", ""]
    if plan.refusals:
        rules = ", ".join(refusal.rule for refusal in plan.refusals)
        lines += [f"**Refused by a guard ({rules}): apply will not run.**", ""]
    if plan.changes or plan.standing or plan.observed or plan.paused:
        text = "\n".join(diff_marked(_bare("\n".join(plan_lines(plan, full=full, more=MORE)))))
        if len(text) > LIMIT:
            text = text[:LIMIT].rpartition("\n")[0] + "\n… cut here; reconciler plan --full shows all"
        lines += ["<details open><summary>Changes</summary>", "", *fenced(text), "", "</details>", ""]
    if plan.guards:
        text = "\n".join(guards_table(plan.guards))
        opened = " open" if plan.refusals else ""
        head = f"<details{opened}><summary>Guards: {verdict(plan.guards)}</summary>"
        lines += [head, "", *fenced(text), "", "</details>", ""]
    if plan.digest:
        lines += [f"<sub>digest {plan.digest[:12]} · state revision {plan.revision}</sub>", ""]
    return "\n".join(lines)


def diff_marked(text: str) -> Iterator[str]:
    """Lines as a diff fence wants them: the symbol first, and `~` as the `!` that it colours."""
    for line in text.split("\n"):
        body = line.lstrip(" ")
        indent = line[: len(line) - len(body)]
        if body.startswith("± "):
            yield "+" + indent + body[1:]
        elif body.startswith(("+ ", "- ")):
            yield body[0] + indent + body[1:]
        elif body.startswith("x "):
            yield "-" + indent + body[1:]
        elif body.startswith(("~ ", "! ")):
            yield "!" + indent + body[1:]
        else:
            yield line


def fenced(text: str) -> tuple[str, str, str]:
    """`text` in a fence that colours it as a diff, and that nothing inside can close."""
    fence = _fence(text)
    return f"{fence}diff", text, fence


def _fence(text: str) -> str:
    """Backticks enough that nothing inside can close the fence."""
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return "`" * max(3, longest + 1)


def _bare(text: str) -> str:
    return click.unstyle(text)

"""What a job leaves for its runner: annotations, a summary, outputs, and GitLab's report of code quality."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli.output import print_commands, write_text
from reconciler.errors import InventoryError, ReconcilerError
from reconciler.forge.annotate import Level, annotation, annotations, few_annotations
from reconciler.forge.job import Job
from reconciler.model import Plan, Problem, Source
from reconciler.redaction import redacted
from reconciler.report.comment import SUMMARY
from reconciler.report.notices import notices
from reconciler.report.text import summary_line

HALF = SUMMARY // 2
"""Bytes, where a job has a plan and an outcome to tell."""
TOO_LARGE = 1 << 20
"""Bytes of a step summary that GitHub does not take."""
QUALITY = "gl-code-quality-report.json"


def annotate_problems(
    job: Job, problems: Sequence[Problem], root: Path, *, level: Level, out: Path | None = None
) -> None:
    """Each problem on its line (of a file below `root`), or as many as are shown, and how many more there are."""
    problems = [replace(problem, source=_from_checkout(job, root, problem.source)) for problem in problems]
    if job.forge == "github":
        lines = annotations(problems, level=level).splitlines()
        print_commands(few_annotations(lines, level=level, what="problems" if level == "error" else "warnings"))
    elif out:
        from reconciler.forge.gitlab import quality

        found = [(problem.source, f"{problem.message}; {problem.fix}", problem.code) for problem in problems]
        _quality(out, quality(found, severity="major"))


def annotate_changes(job: Job, plan: Plan, root: Path, *, out: Path) -> None:
    """What each line changes, on that line: the ones that reach furthest, and how many more there are."""
    found = [(_from_checkout(job, root, source), title, text) for source, title, text in notices(plan)]
    if job.forge == "github":
        lines = [annotation("notice", source, title, text) for source, title, text in found]
        print_commands(few_annotations(lines, level="notice", what="lines that change devices"))
    else:
        from reconciler.forge.gitlab import quality

        _quality(out, quality([(place, f"{title}: {text}", "plan") for place, title, text in found], severity="info"))


def annotate_stop(job: Job, error: ReconcilerError, root: Path) -> None:
    """Why a job failed, where the problems of an inventory do not tell it."""
    if job.forge == "github" and not isinstance(error, InventoryError):
        print_commands(annotation("error", None, "reconciler", str(error)))
    elif job.forge == "github" and isinstance(error, InventoryError):
        annotate_problems(job, error.problems, root, level="error")


def summarise(job: Job, text: str) -> None:
    """Append to the summary of the step; what does not fit any more is left out as a whole, and said."""
    if job.summary is None:
        return
    text = redacted(text)
    try:
        there = job.summary.stat().st_size if job.summary.exists() else 0
        if there + len(text.encode()) > TOO_LARGE:
            click.echo("the summary of this step is full; the log above has what is missing in it", err=True)
            return
        with job.summary.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        click.echo(f"the summary of this step cannot be written: {error.strerror}", err=True)


def outputs(job: Job, plan: Plan) -> None:
    """`changes` (true or false), `digest` and `summary` (a line) of the step. Raises ReconcilerError."""
    if job.output is None:
        return
    values = {
        "changes": "true" if plan.changes else "false",
        "digest": plan.digest,
        "summary": click.unstyle(summary_line(plan)),
    }
    try:
        with job.output.open("a", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in values.items())
    except OSError as error:
        raise ReconcilerError(f"GITHUB_OUTPUT cannot be written: {error.strerror}") from None


def _from_checkout(job: Job, root: Path, source: Source) -> Source:
    """A place whose path begins where the repository does: settings may be further down."""
    try:
        below = root.resolve().relative_to(job.checkout.resolve()) if job.checkout else Path()
    except ValueError:  # the inventory is not in the checkout
        return source
    return replace(source, file=(below / source.file).as_posix())


def _quality(out: Path, report: str) -> None:
    write_text(out.with_name(QUALITY), report)

"""`reconciler ci`: plan and apply as jobs of GitHub Actions or GitLab CI."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import Globals, pass_globals
from reconciler.cli.apply import Duration, allowed_rules, check, max_duration_option, report_option, told
from reconciler.cli.ci_outcome import finished, nothing, remark, stopped
from reconciler.errors import (
    InventoryError,
    ReconcilerError,
    Refused,
    Unreviewed,
    Usage,
)

if TYPE_CHECKING:
    from reconciler.apply.run import Run
    from reconciler.config import Settings
    from reconciler.forge.job import Job
    from reconciler.model import Plan, Problem


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    from reconciler.forge.job import NAME

    if not NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no name; expected letters, digits, '.', '_' and '-'", ctx, param)
    return value


OLDER = "older"
"""What --allow takes beside the guards: to apply a commit that does not contain the last."""

name_option = click.option(
    "--name",
    default="default",
    callback=_name,
    metavar="NAME",
    help="Which of several targets this is: each has its own comment and artifact.",
)


@click.group()
def ci() -> None:
    """Plan a pull request and apply a merged one, in a job of GitHub Actions or GitLab CI."""


@ci.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("plan.json"),
    metavar="FILE",
    help="Save the plan, to be kept as the artifact reconciler-plan or reconciler-plan-NAME. [plan.json]",
)
@name_option
@pass_globals
def plan(given: Globals, *, out: Path, name: str) -> int:
    """Validate and plan, and tell it in the pull request: comment, annotations, summary and outputs.

    With a token that may only read, as in pull requests from forks, there is no comment and no failure.

    Exit codes: 0 planned · 1 problems · 6 refused by a guard.
    """
    from reconciler import gitops, reconcile
    from reconciler.cli.output import print_plan, write_json
    from reconciler.cli.runner import annotate_changes, annotate_problems, annotate_stop, outputs, summarise
    from reconciler.cli.watching import watching
    from reconciler.forge.job import job_of
    from reconciler.plan.plan_file import to_json
    from reconciler.report.comment import no_plan, plan_comment, plan_summary
    from reconciler.report.comment import stopped as stopped_text
    from reconciler.report.problems import text

    job = job_of(os.environ)
    if out.is_symlink() or out.is_file():
        out.unlink()  # what somebody committed under this name is no plan, nor a way to write elsewhere
    gitops.outdate(job, name)

    def warn(warnings: "Sequence[Problem]") -> None:
        given.warnings(warnings)
        annotate_problems(job, warnings, root, level="warning")

    root = Path.cwd()
    try:
        settings = given.settings()
        root = settings.root
        with watching(given) as watch:
            made = reconcile.plan(settings, warn=warn, note=given.warn, beside=given.say, watch=watch)
        write_json(out, to_json(made))
    except ReconcilerError as error:
        if isinstance(error, InventoryError):
            title, words = "the inventory has problems", text(error.problems)
            annotate_problems(job, error.problems, root, level="error", out=out)
        else:
            title, words = "it stopped before", str(error)
            annotate_stop(job, error, root)
        summarise(job, stopped_text(f"No plan: {title}", words, name=name))
        remark(given, gitops.tell_plan(job, name, no_plan(title, words, name=name, head=job.head)))
        raise
    artifact = gitops.artifact(name)
    print_plan(given, made, "text", full=False, refusals=False)
    annotate_changes(job, made, root, out=out)
    summarise(job, plan_summary(made, name=name, url=job.url, artifact=artifact))
    outputs(job, made)
    body = plan_comment(made, name=name, head=job.head, url=job.url, artifact=artifact)
    remark(given, gitops.tell_plan(job, name, body))
    if made.refusals:
        raise Refused(made.refusals)
    return 0


@ci.command()
@name_option
@click.option("--reviewed", metavar="FILE|DIGEST", help="What was reviewed, instead of the plan of the pull request.")
@report_option
@click.option("--lock-timeout", type=Duration(), metavar="S", help="Wait so long for the state. [120s]")
@max_duration_option
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="RULE",
    callback=allowed_rules(OLDER),
    help="Raise a guard for this run, or `older`: apply a commit that is not newer than the last; repeatable.",
)
@pass_globals
def apply(
    given: Globals,
    *,
    name: str,
    reviewed: str | None,
    report: Path | None,
    lock_timeout: float | None,
    max_duration: float | None,
    allowed: tuple[str, ...],
) -> int:
    """Apply the commit that is checked out, as far as it was reviewed in the pull request that brought it in.

    Plans anew; goes on if the plan is the reviewed one or a part of it, and no newer commit was applied. Tells what
    became of it in the summary and the merged pull request. To run it again is always the right remedy.
    """
    from reconciler import gitops
    from reconciler.cli.output import check_replaceable
    from reconciler.cli.runner import annotate_stop, outputs
    from reconciler.forge.job import job_of
    from reconciler.inventory.commit import head_of

    job = job_of(os.environ)
    plan: Plan | None = None
    root = Path.cwd()
    try:
        settings = given.settings()
        root = settings.root
        commit = head_of(settings.root, os.environ)
        if not commit:
            raise Usage("this is no work tree of git, so that nobody can tell which commit it is; check it out first")
        if report:
            check_replaceable(report)
        if OLDER not in allowed:
            gitops.admit(settings, commit)
            gitops.superseded(settings, job, commit)
        plan = _planned(given, settings, job, name=name)
        outputs(job, plan)
        if not plan.changes:
            nothing(given, job, name=name, commit=commit)
            return 0
        _agreed(given, settings, job, plan, name=name, commit=commit, reviewed=reviewed)
        run = _applied(
            given,
            settings,
            plan,
            commit=commit,
            lock_timeout=lock_timeout,
            max_duration=max_duration,
            allowed=allowed,
        )
    except ReconcilerError as error:
        annotate_stop(job, error, root)
        stopped(given, job, error, plan, name=name)
        raise
    try:
        return told(given, settings, run, report)
    finally:
        finished(given, job, run, name=name, commit=commit)


def _planned(given: Globals, settings: "Settings", job: "Job", *, name: str) -> "Plan":
    """A plan of now, shown."""
    from reconciler import gitops, reconcile
    from reconciler.cli.output import print_plan
    from reconciler.cli.runner import HALF, summarise
    from reconciler.cli.watching import watching
    from reconciler.report.comment import plan_summary

    with watching(given) as watch:
        plan = reconcile.plan(settings, warn=given.warnings, note=given.warn, watch=watch)
    print_plan(given, plan, "text", full=False, refusals=False)
    summarise(job, plan_summary(plan, name=name, url=job.url, artifact=gitops.artifact(name), most=HALF))
    return plan


def _agreed(
    given: Globals, settings: "Settings", job: "Job", plan: "Plan", *, name: str, commit: str, reviewed: str | None
) -> None:
    """Raise Unreviewed, having shown what was not reviewed."""
    from reconciler import gitops
    from reconciler.agreement import only
    from reconciler.report.text import unreviewed_text

    if reviewed:
        check(given, settings, plan, reviewed)
        return
    try:
        remark(given, gitops.agree(settings, job, plan, name=name, commit=commit))
    except Unreviewed as error:
        if error.changes:
            click.echo(unreviewed_text(only(plan, error)), err=True, color=given.color)
        raise


def _applied(
    given: Globals,
    settings: "Settings",
    plan: "Plan",
    *,
    commit: str,
    lock_timeout: float | None,
    max_duration: float | None,
    allowed: Sequence[str],
) -> "Run":
    from reconciler import reconcile
    from reconciler.agreement import check_commit
    from reconciler.cli.watching import watching

    variable = "GITHUB_SHA" if os.environ.get("GITHUB_SHA") else "CI_COMMIT_SHA"
    with watching(given) as watch:
        return reconcile.apply(
            settings,
            plan,
            {**os.environ, variable: commit},
            allowed=allowed,
            lock_timeout=lock_timeout,
            max_duration=max_duration,
            trace=given.trace,
            say=given.say,
            watch=watch,
            admit=lambda backend: None if OLDER in allowed else check_commit(settings, backend, commit),
        )

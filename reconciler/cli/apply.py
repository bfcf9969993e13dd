"""`reconciler apply`."""

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import TARGET_HELP, Globals, no_cache_option, pass_globals
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.apply.run import Run
    from reconciler.config import Settings
    from reconciler.model import Plan

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """`90`, `90s`, `15m` or `5h`."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds from `90`, `90s`, `15m` or `5h`."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if not found:
            self.fail(f"{value!r} is not a duration; write it like 90s, 15m or 5h", param, ctx)
        return float(found[1]) * UNITS[found[2]]


def allowed_rules(*more: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    """What checks that --allow names guards, or one of `more`."""

    def checked(ctx: click.Context, param: click.Parameter, rules: tuple[str, ...]) -> tuple[str, ...]:
        from reconciler.plan.guard import RULES

        for rule in rules:
            if rule not in {*RULES, *more}:
                raise click.BadParameter(f"{rule!r} is no rule; there are: {', '.join((*RULES, *more))}", ctx, param)
        return rules

    return checked


report_option = click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json", help="Save every outcome."
)
max_duration_option = click.option(
    "--max-duration", type=Duration(), metavar="5h", help="Start nothing new after so long."
)


@click.command()
@click.argument("planfile", type=click.Path(path_type=Path), required=False)
@click.option(
    "--auto-approve", is_flag=True, help="Do not ask. Needed where nobody can answer, unless PLANFILE is given."
)
@click.option(
    "--reviewed", metavar="FILE|DIGEST", help="Go on only if nothing is done that this plan does not do; do not ask."
)
@click.option("--target", "targets", multiple=True, metavar="PATTERN", help=TARGET_HELP)
@report_option
@click.option("--lock-timeout", type=Duration(), metavar="S", help="Wait so long for the state. [10s; in CI 120s]")
@max_duration_option
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="RULE",
    callback=allowed_rules(),
    help="Raise a guard for this run, by the name that its refusal gives; repeatable.",
)
@click.option("--resend", is_flag=True, help="Also send again what the server did not take as it was sent.")
@no_cache_option
@pass_globals
def apply(
    given: Globals,
    *,
    planfile: Path | None,
    auto_approve: bool,
    reviewed: str | None,
    targets: tuple[str, ...],
    report: Path | None,
    lock_timeout: float | None,
    max_duration: float | None,
    allowed: tuple[str, ...],
    resend: bool,
    no_cache: bool,
) -> int:
    """Send the changed fields of the changed devices to the API, and say what became of every device.

    With PLANFILE, exactly that plan; it may be given again after a crash. Without, plans first and asks. With
    --reviewed, plans first, and goes on if the plan is the reviewed one or a part of it (with a DIGEST: that one).
    """
    from reconciler import reconcile
    from reconciler.apply.run import Run
    from reconciler.cli.output import check_replaceable, read_plan
    from reconciler.cli.watching import watching
    from reconciler.report.text import summary_line
    from reconciler.timestamp import stamp

    if planfile and (targets or resend):
        raise click.UsageError("a plan file says which devices it is about; --target and --resend belong to plan")
    if planfile and reviewed:
        raise click.UsageError("--reviewed is about a plan that is made now; a plan file is applied as it is")
    settings = given.settings(cache=not no_cache)
    plan = read_plan(planfile) if planfile else _planned(given, settings, targets, allowed, resend=resend)
    if report:
        check_replaceable(report)  # after the run it would be too late to say so
    if not plan.changes:
        if report:
            _save(report, Run("", plan, (), (), None, stamp(time.time()), 0.0))
        if planfile:
            click.echo(summary_line(plan), color=given.color)
        return 0
    if reviewed:
        check(given, settings, plan, reviewed)
    elif not planfile and not auto_approve:
        _ask(plan)
    with watching(given) as watch:
        run = reconcile.apply(
            settings,
            plan,
            os.environ,
            allowed=allowed,
            lock_timeout=lock_timeout,
            max_duration=max_duration,
            trace=given.trace,
            say=given.say,
            watch=watch,
        )
    return told(given, settings, run, report)


def told(given: Globals, settings: "Settings", run: "Run", report: Path | None) -> int:
    """Say what became of a run, and keep what must be kept, the most precious first. Raises the error that ended it."""
    from reconciler.cli.output import save_recovery
    from reconciler.report.outcomes import outcomes_text

    if run.recovery:
        click.echo(save_recovery(settings.root / ".reconciler", run.id, run.recovery), err=True)
    text = outcomes_text(run.outcomes, done=run.done, seconds=run.seconds, stopped=run.error is not None)
    click.echo(text, color=given.color)
    if report:
        try:
            _save(report, run)
        except ReconcilerError as error:
            if run.error is None:
                raise
            click.echo(f"error: {error}", err=True)
    if run.error:
        raise run.error
    return run.exit_code


def check(given: Globals, settings: "Settings", plan: "Plan", reviewed: str) -> None:
    """Raise Unreviewed, having shown what was not reviewed, if the plan does more than the reviewed FILE or DIGEST."""
    from reconciler.agreement import DIGEST, check_digest, check_reviewed, only
    from reconciler.cli.output import read_plan
    from reconciler.errors import Unreviewed
    from reconciler.report.text import unreviewed_text

    try:
        if DIGEST.fullmatch(reviewed):
            check_digest(plan, reviewed)
        else:
            check_reviewed(settings, plan, [read_plan(Path(reviewed))])
    except Unreviewed as error:
        click.echo(unreviewed_text(only(plan, error)), err=True, color=given.color)
        raise


def _planned(
    given: Globals, settings: "Settings", targets: Sequence[str], allowed: Sequence[str], *, resend: bool
) -> "Plan":
    """A plan of now, shown. Raises Refused for a guard that is not allowed."""
    from reconciler import reconcile
    from reconciler.cli.output import print_plan
    from reconciler.cli.watching import watching
    from reconciler.errors import Refused

    with watching(given) as watch:
        plan = reconcile.plan(
            settings,
            targets=targets,
            resend=resend,
            warn=given.warnings,
            note=given.warn,
            trace=given.trace,
            watch=watch,
        )
    with watch.stage("report"):
        print_plan(given, plan, "text", full=False, refusals=False)
    refusals = [refusal for refusal in plan.refusals if refusal.rule not in allowed]
    if refusals:
        raise Refused(refusals)
    for refusal in plan.refusals:
        given.say(f"allowed by --allow {refusal.rule}: {refusal.message}")
    return plan


def _save(file: Path, run: "Run") -> None:
    from reconciler.cli.output import write_json
    from reconciler.report.outcomes import document

    error = str(run.error) if run.error else ""
    write_json(
        file,
        document(
            run.outcomes,
            run=run.id,
            started=run.started,
            seconds=run.seconds,
            plan=run.plan,
            done=run.done,
            exit_code=run.exit_code,
            error=error,
        ),
    )


def _ask(plan: "Plan") -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(
            "nobody can be asked here; give a plan file (reconciler plan --out FILE) or --auto-approve"
        )
    click.echo()
    count = len(plan.changes)
    what = "this change" if count == 1 else f"these {count:,} changes"
    answer = click.prompt(f"Apply {what}? Type yes to apply, anything else to stop", err=True)
    if answer != "yes":
        raise ReconcilerError("not approved; nothing was sent")

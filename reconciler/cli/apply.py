"""`reconciler apply`."""

import os
import re
import sys
from pathlib import Path

import click

from reconciler.cli import Globals, pass_globals
from reconciler.model import Plan

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds from `90`, `90s`, `15m` or `5h`."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if not found:
            self.fail(f"{value!r} is not a duration; write it like 90s, 15m or 5h", param, ctx)
        return float(found[1]) * UNITS[found[2]]


def _allowed(ctx: click.Context, param: click.Parameter, rules: tuple[str, ...]) -> tuple[str, ...]:
    from reconciler.plan.guard import RULES

    for rule in rules:
        if rule not in RULES:
            raise click.BadParameter(f"{rule!r} is no rule; there are: {', '.join(RULES)}", ctx, param)
    return rules


@click.command()
@click.argument("planfile", type=click.Path(path_type=Path), required=False)
@click.option(
    "--auto-approve", is_flag=True, help="Do not ask. Needed where nobody can answer, unless PLANFILE is given."
)
@click.option("--target", "targets", multiple=True, metavar="PATTERN", help="Only a SERIAL, a glob, or FIELD=VALUE.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json", help="Save every outcome."
)
@click.option("--lock-timeout", type=_Duration(), metavar="S", help="Wait so long for the state. [10s; in CI 120s]")
@click.option("--max-duration", type=_Duration(), metavar="5h", help="Start nothing new after so long.")
@click.option(
    "--allow", "allowed", multiple=True, metavar="RULE", callback=_allowed, help="Raise a guard for this run."
)
@click.option("--resend", is_flag=True, help="Also send again what the server did not take as it was sent.")
@pass_globals
def apply(
    given: Globals,
    *,
    planfile: Path | None,
    auto_approve: bool,
    targets: tuple[str, ...],
    report: Path | None,
    lock_timeout: float | None,
    max_duration: float | None,
    allowed: tuple[str, ...],
    resend: bool,
) -> int:
    """Send the changed fields of the changed devices to the API, and say what became of every device.

    With PLANFILE, exactly that plan; it may be given again after a crash. Without, plans first and asks.
    """
    from reconciler import reconcile
    from reconciler.cli.output import print_plan, read_plan, save_recovery, write_json
    from reconciler.cli.progress import progress
    from reconciler.errors import Refused
    from reconciler.report.outcomes import document, outcomes_text

    if planfile and (targets or resend):
        raise click.UsageError("a plan file says which devices it is about; --target and --resend belong to plan")
    settings = given.settings()
    if planfile:
        plan = read_plan(planfile)
    else:
        plan = reconcile.plan(settings, targets=targets, resend=resend)
        print_plan(given, settings, plan, "text", full=False)
        refusals = [refusal for refusal in plan.refusals if refusal.rule not in allowed]
        if refusals:
            raise Refused(refusals)
    if not plan.changes:
        if planfile:
            click.echo("No changes. The plan is empty.")
        return 0
    if not planfile and not auto_approve:
        _ask(plan)
    with progress(given, len(plan.changes)) as show:
        run = reconcile.apply(
            settings,
            plan,
            os.environ,
            allowed=allowed,
            lock_timeout=lock_timeout if lock_timeout is not None else 120.0 if os.environ.get("CI") else 10.0,
            max_duration=max_duration,
            waiting=lambda locked: given.say(f"{locked}; waiting"),
            progress=show,
            trace=given.trace,
        )
    click.echo(
        outcomes_text(run.outcomes, done=run.done, seconds=run.seconds, stopped=run.error is not None),
        color=given.color,
    )
    if report:
        error = str(run.error) if run.error else ""
        write_json(
            report,
            document(
                run.outcomes,
                run=run.id,
                started=run.started,
                seconds=run.seconds,
                plan=plan,
                done=run.done,
                exit_code=run.exit_code,
                error=error,
            ),
        )
    if run.recovery:
        file = save_recovery(settings.root / ".reconciler", run.id, run.recovery)
        click.echo(
            f"answers that the state could not take are in {file}; when it can: reconciler state recover {file}",
            err=True,
        )
    if run.error:
        raise run.error
    return run.exit_code


def _ask(plan: Plan) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(
            "nobody can be asked here; give a plan file (reconciler plan --out FILE) or --auto-approve"
        )
    click.echo()
    count = len(plan.changes)
    answer = click.prompt(
        f"Apply {'this change' if count == 1 else f'these {count:,} changes'}? Only yes means yes", err=True
    )
    if answer != "yes":
        raise click.ClickException("not approved; nothing was sent")

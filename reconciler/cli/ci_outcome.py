"""What became of `reconciler ci apply`, told in the summary and in the request that brought the commit in."""

from typing import TYPE_CHECKING

from reconciler.cli import Globals
from reconciler.errors import InventoryError, OlderCommit, ReconcilerError, Refused, StalePlan, Unreviewed

if TYPE_CHECKING:
    from reconciler.apply.run import Run
    from reconciler.forge.job import Job
    from reconciler.model import Plan


def nothing(given: Globals, job: "Job", *, name: str, commit: str) -> None:
    """Only a comment that there is has something to put right: that this has come to its end after all."""
    from reconciler import gitops
    from reconciler.report.comment import apply_comment

    body = apply_comment("Applied: every device is as declared", "", name=name, url=job.url, again=False)
    remark(given, gitops.tell_apply(job, name, commit, body, only_if_there=True))


def stopped(given: Globals, job: "Job", error: ReconcilerError, plan: "Plan | None", *, name: str) -> None:
    """Why nothing was sent. A run that came too late has nothing to say to a request that was applied long ago."""
    from reconciler import gitops
    from reconciler.agreement import only
    from reconciler.cli.runner import HALF, summarise
    from reconciler.report.comment import apply_comment
    from reconciler.report.comment import stopped as stopped_text
    from reconciler.report.problems import text
    from reconciler.report.text import unreviewed_text

    words = text(error.problems) if isinstance(error, InventoryError) else str(error)
    if isinstance(error, Unreviewed) and error.changes and plan:
        words = f"{words}\n\n{unreviewed_text(only(plan, error))}"
    title = "Not applied: nothing was sent"
    summarise(job, stopped_text(title, words, name=name, most=HALF))
    if not isinstance(error, OlderCommit):
        again = not isinstance(error, StalePlan | Refused | InventoryError)
        body = apply_comment(title, words, name=name, url=job.url, again=again)
        remark(given, gitops.tell_apply(job, name, job.commit, body, only_if_there=False))


def finished(given: Globals, job: "Job", run: "Run", *, name: str, commit: str) -> None:
    """What became of every device, in the summary and in the request that brought the commit in."""
    from reconciler import gitops
    from reconciler.cli.runner import HALF, summarise
    from reconciler.model import Applied
    from reconciler.report.comment import apply_comment
    from reconciler.report.outcomes import outcomes_text

    text = outcomes_text(run.outcomes, done=run.done, seconds=run.seconds, stopped=run.error is not None)
    other = sum(not isinstance(outcome, Applied) for outcome in run.outcomes)
    need = f"{other:,} device{' needs' if other == 1 else 's need'} attention"
    title = "The apply ended early" if run.error else f"Applied, and {need}" if other else "Applied"
    words = f"{run.error}\n{text}" if run.error else text
    again = run.exit_code != 0
    summarise(job, apply_comment(title, words, name=name, url="", again=again, most=HALF))
    body = apply_comment(title, words, name=name, url=job.url, again=again)
    remark(given, gitops.tell_apply(job, name, commit, body, only_if_there=False))


def remark(given: Globals, text: str) -> None:
    """On stderr, whatever is in it."""
    if text:
        from reconciler.printable import printable

        given.say(printable(text))

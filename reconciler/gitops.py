"""The pull request: the plan is told in it, what was reviewed in it is found again, and so is what became of it.

Comments are a courtesy. What cannot be commented is said in a remark, and stops nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from reconciler.agreement import check_commit, check_reviewed, last_commit, plan_from
from reconciler.config import Settings
from reconciler.errors import ForgeDenied, ForgeError, OlderCommit, PlanFileError, Unreviewed
from reconciler.forge.job import Job
from reconciler.forge.sticky import Forge, Merged, kept, stick
from reconciler.inventory.commit import since, tip
from reconciler.model import Plan
from reconciler.redaction import redacted
from reconciler.report.comment import held, marker, outdated
from reconciler.state.open import open_state

DEFAULT = "default"
COMMITS = 50
"""So many merges are looked through for what was reviewed, back to the one that was applied last."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A plan that was reviewed, and where. `vouched`: its digest stands in our comment there, too."""

    merged: Merged
    plan: Plan
    vouched: bool


def artifact(name: str) -> str:
    """How the file plan.json of a target is kept by the run that planned a pull request."""
    return "reconciler-plan" if name == DEFAULT else f"reconciler-plan-{name}"


def forge_of(job: Job) -> Forge:
    """The forge of a job. Raises ForgeDenied where the job has no token to speak to it."""
    if job.token is None:
        variable = "GITHUB_TOKEN" if job.forge == "github" else "GITLAB_TOKEN"
        raise ForgeDenied(f"{variable} is not set")
    if job.forge == "gitlab":
        from reconciler.forge.gitlab import GitLab

        return GitLab(job)
    from reconciler.forge.github import GitHub

    return GitHub(job)


def outdate(job: Job, name: str) -> None:
    """Say in the comment about an earlier head that it is about an earlier head. Never raises: it is replaced soon."""
    if job.number is None:
        return
    try:
        forge = forge_of(job)
        _outdate(forge, job.number, name, forge.head(job.number))
    except ForgeError:
        return


def _outdate(forge: Forge, number: int, name: str, head: str) -> None:
    note = kept(forge, number, marker("plan", name))
    if note and (body := outdated(note.body, head)) != note.body:
        forge.edit(number, note.id, body)


def tell_plan(job: Job, name: str, body: str) -> str:
    """Comment on the request that the job runs for; a remark if that could not be. A newer head has the word."""
    if job.number is None:
        return ""
    try:
        forge = forge_of(job)
        head = forge.head(job.number)
        if head != job.head:
            _outdate(forge, job.number, name, head)
            return f"no comment: the head is {head[:12]} by now, and this plan is about {job.head[:12]}"
        stick(forge, job.number, marker("plan", name), redacted(body))
    except ForgeError as error:
        return _remark(error)
    return ""


def tell_apply(job: Job, name: str, commit: str, body: str, *, only_if_there: bool) -> str:
    """Comment on the request that `commit` came in with; a remark if that could not be."""
    try:
        forge = forge_of(job)
        for merged in forge.merged(commit, job.branch)[:1]:
            stick(forge, merged.number, marker("apply", name), redacted(body), only_if_there=only_if_there)
    except ForgeError as error:
        return _remark(error)
    return ""


def _remark(error: ForgeError) -> str:
    if isinstance(error, ForgeDenied):
        return f"no comment: {error}, as it is for pull requests from forks; all of it is in the summary of this run"
    return f"no comment: {error}; all of it is in the summary of this run"


def admit(settings: Settings, commit: str) -> None:
    """Raise OlderCommit if the last apply was for a commit that this one does not contain."""
    with closing(open_state(settings.state, settings.root)) as backend:
        check_commit(settings, backend, commit)


def superseded(settings: Settings, job: Job, commit: str) -> None:
    """Raise OlderCommit for a job that is run again although its branch went on: what it failed at may be withdrawn.

    In its first run a job may be one of several that wait for their turn, and the next one brings the rest.
    """
    if not job.again:
        return
    told = tip(settings.root, job.branch)
    if told and told != commit:
        raise OlderCommit(
            f"{job.branch} is at {told[:12]} by now, and {commit[:12]} is run again; nothing was sent."
            " Run the job of the newest commit, which brings all of this; or, to mean this one, add: --allow older",
            (),
        )


def agree(settings: Settings, job: Job, plan: Plan, *, name: str, commit: str) -> str:
    """Nothing, if all that `plan` does was reviewed; else raises Unreviewed. Returns a remark, or "".

    What counts is the plan of the request that `commit` came in with, and if that is not enough, those of the requests
    that were merged before it and since the last apply, the newest first; without the first, none.
    """
    seen: list[Reviewed] = []
    missing: Unreviewed | None = None
    for found in _reviewed(settings, job, name, commit):
        seen.append(found)
        try:
            check_reviewed(settings, plan, [each.plan for each in seen])
        except Unreviewed as error:
            missing = error
            continue
        return _said(seen)
    if missing:
        raise missing
    why = f"no plan was reviewed for {commit[:12]}: no merged request with the artifact {artifact(name)} brought it in"
    if settings.ci.reviewed == "required":
        raise Unreviewed(
            f'{why}; nothing was sent. Bring it in by a pull request, set ci.reviewed = "if-present", or, having read'
            f" this plan, apply it by its digest: --reviewed {plan.digest}",
            plan.changes,
        )
    return f"{why}; ci.reviewed lets it pass"


def _said(seen: Iterable[Reviewed]) -> str:
    told = [
        f"#{each.merged.number}{'' if each.vouched else ' (no comment of ours there to compare with)'}" for each in seen
    ]
    return f"reviewed in {', '.join(told)}"


def _reviewed(settings: Settings, job: Job, name: str, commit: str) -> Iterator[Reviewed]:
    forge = forge_of(job)
    with closing(open_state(settings.state, settings.root)) as backend:
        earlier = last_commit(backend)
    numbers = set()
    for merge in since(settings.root, commit, earlier, COMMITS):
        found = False
        for merged in forge.merged(merge, job.branch):
            if merged.number not in numbers:
                numbers.add(merged.number)
                for plan in _plan_of(forge, merged, name):
                    found = True
                    yield plan
        if merge == commit and not found:
            return  # nobody reviewed what is here now: what was reviewed before may have been withdrawn since


def _plan_of(forge: Forge, merged: Merged, name: str) -> Iterator[Reviewed]:
    """The newest plan of a merged request, or the one that our comment there speaks of.

    Raises Unreviewed if there are plans, and such a comment, which speaks of none of them.
    """
    note = kept(forge, merged.number, marker("plan", name))
    vouched = held(note.body) if note else None
    others = 0
    for document in forge.plans(merged, artifact(name)):
        try:
            plan = plan_from(document)
        except PlanFileError as error:
            raise ForgeError(f"the reviewed plan of #{merged.number} cannot be used: {error}") from None
        if note is None or vouched == (merged.head, plan.digest):
            yield Reviewed(merged, plan, vouched=note is not None)
            return
        others += 1
    if others:
        raise Unreviewed(
            f"what was kept as the plan of #{merged.number} is not the plan that the comment there shows;"
            " nothing was sent. Run the plan job of that request again, which writes both anew, or, having read this"
            " plan, apply it by its digest: reconciler apply --reviewed DIGEST",
            (),
        )

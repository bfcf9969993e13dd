"""Whether somebody agreed to what is about to be applied: a plan that was reviewed, and no older inventory."""

import json
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import NoReturn

from reconciler.config import Settings
from reconciler.errors import OlderCommit, PlanFileError, Unreviewed
from reconciler.inventory.commit import contains, is_shallow
from reconciler.inventory.schema import packaged_schema
from reconciler.model import EntryKind, Plan
from reconciler.plan.plan_file import from_json
from reconciler.plan.reviewed import unreviewed
from reconciler.plan.wording import devices as counted
from reconciler.state.backend import Backend
from reconciler.state.open import open_state

MAX_PLAN_BYTES = 1 << 30
"""A longer document is not a plan of ours, and would not fit in memory."""
DIGEST = re.compile("[0-9a-f]{64}")


def plan_from(document: bytes) -> Plan:
    """The plan that a JSON document holds. Raises PlanFileError."""
    try:
        found = json.loads(document, parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise PlanFileError("not JSON; make one with: reconciler plan --out FILE") from None
    return from_json(found, packaged_schema("plan"))


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def check_reviewed(settings: Settings, plan: Plan, reviewed: Sequence[Plan]) -> None:
    """Raise Unreviewed if `plan` does more than the `reviewed` plans together.

    One that was made from another state, or for a server that takes objects in another way, says nothing about it.
    """
    told = [
        other
        for other in reviewed
        if other.nested == plan.nested and (not other.lineage or other.lineage == plan.lineage)
    ]
    with closing(open_state(settings.state, settings.root)) as backend:
        devices = backend.read().devices
    left = unreviewed(plan.changes, told, devices, merged=settings.api.merges)
    if left:
        why = "; no reviewed plan was made from this state and with this api.nested" if reviewed and not told else ""
        raise Unreviewed(f"{counted(len(left))} would get what was not reviewed{why}; nothing was sent", left)


def check_digest(plan: Plan, digest: str) -> None:
    """Raise Unreviewed if `plan` does anything, and not exactly what the plan of that digest does."""
    if plan.changes and plan.digest != digest:
        raise Unreviewed(
            f"this plan is {plan.digest}, and {digest} was reviewed; nothing was sent."
            " A part of a reviewed plan can only be told by its file: --reviewed FILE",
            plan.changes,
        )


def last_commit(backend: Backend) -> str:
    """The commit that the last apply was for, as far as any was; "" if none was."""
    last = backend.head().seq
    for window in (1_000, 100_000, last):
        commits = [
            str(entry.data["commit"])
            for entry in backend.entries(after=max(0, last - window))
            if entry.kind is EntryKind.RUN and entry.data.get("command") == "apply" and entry.data.get("commit")
        ]
        if commits or window >= last:
            return commits[-1] if commits else ""
    return ""


def check_commit(settings: Settings, backend: Backend, commit: str) -> None:
    """Raise OlderCommit unless `commit` contains the one that the last apply was for: devices would be rolled back.

    A run that is repeated later than a newer one is such a case; so is a branch that was pushed with force.
    """
    seen = last_commit(backend)
    if not seen or seen == commit:
        return
    match contains(settings.root, commit, seen):
        case True:
            return
        case False if contains(settings.root, seen, commit):
            why = f"{seen[:12]} was applied already, and is newer than {commit[:12]}: this would roll devices back"
        case False:
            why = (
                f"{seen[:12]} was applied last, and {commit[:12]} does not contain it: the branch was pushed with force"
            )
        case _:
            shallow = is_shallow(settings.root)
            hint = "; check out with fetch-depth: 0" if shallow else ": it was never pushed, or taken back with force"
            why = f"{seen[:12]} was applied last, and this clone does not know it{hint}"
    raise OlderCommit(
        f"{why}. Nothing was sent. Run the job of the newest commit; or, to mean this one, add: --allow older", ()
    )


def only(plan: Plan, error: Unreviewed) -> Plan:
    """The plan as far as it was not reviewed, to be shown."""
    return replace(plan, changes=error.changes, guards=(), standing=(), observed=(), paused=(), targets=(), digest="")

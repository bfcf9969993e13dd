"""Whether somebody agreed to what is about to be applied: a plan that was reviewed, and no older inventory."""

import json
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import NoReturn

from reconciler.config import Settings
from reconciler.errors import PlanFileError, Unreviewed
from reconciler.inventory.schema import packaged_schema
from reconciler.model import Plan
from reconciler.plan.plan_file import from_json
from reconciler.plan.reviewed import unreviewed
from reconciler.plan.wording import devices as counted
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


def only(plan: Plan, error: Unreviewed) -> Plan:
    """The plan as far as it was not reviewed, to be shown."""
    return replace(plan, changes=error.changes, guards=(), standing=(), observed=(), paused=(), targets=(), digest="")

"""A plan that was agreed to x the state as it is now -> what is still to be sent."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from reconciler.config import Settings
from reconciler.conformance import check_plan, marked
from reconciler.desired import desired_state
from reconciler.errors import LineageMismatch, Refused, StalePlan
from reconciler.model import Change, DeviceState, GuardCheck, Plan, Serial, Snapshot
from reconciler.plan.body import body, removed_keys
from reconciler.plan.guard import guard
from reconciler.plan.marks import Marks
from reconciler.plan.secrets import bare, filled
from reconciler.plan.settle import settle
from reconciler.plan.wording import named
from reconciler.pointer import patched
from reconciler.state.backend import Head
from reconciler.state.open import check_lineage

if TYPE_CHECKING:
    from reconciler.apply.judge import Task


def check_agreed(settings: Settings, agreed: Plan, head: Head) -> None:
    """Raise StalePlan or LineageMismatch if the plan is for another state than that of `head`, or for other settings.

    To be asked before a lease is taken, which would begin a new state where there is none.
    """
    if agreed.nested != settings.api.nested:
        raise StalePlan("api.nested is not what this plan was made with; nothing was sent; plan again", ())
    check_lineage(head, settings.lineage, settings.state)
    if agreed.lineage and agreed.lineage != head.lineage:
        found = f"is of lineage {head.lineage}" if head.lineage else "does not exist"
        raise LineageMismatch(
            f"this plan was made from a state of lineage {agreed.lineage}, and {settings.state} {found};"
            " nothing was sent; name the right state, or plan again"
        )


def guarded(
    settings: Settings,
    changes: Sequence[Change],
    devices: Mapping[Serial, DeviceState],
    total: int,
    *,
    server: str,
    moment: float,
) -> tuple[GuardCheck, ...]:
    """What the guards find in `changes` to a state of `total` devices, at that moment (UNIX seconds)."""
    return guard(
        changes,
        devices,
        total=total,
        limits=settings.guard,
        moment=datetime.fromtimestamp(moment, UTC),
        lifecycle=settings.lifecycle,
        removed=settings.on_removed.field,
        servers=(server, settings.api.server),
    )


def todo(
    settings: Settings, agreed: Plan, snapshot: Snapshot, allowed: Sequence[str], moment: float
) -> tuple[tuple[Serial, ...], list["Task"]]:
    """For which devices a plan is done already, and what is still to do. The law: what is not as agreed is not done.

    Raises StalePlan, PlanFileError, and Refused for a guard that is not `allowed`.
    """
    rules, held = marked(settings), snapshot.devices
    # All of them stay to the end of the run: those that wait on disk are fetched once.
    changes: Sequence[Change] = [replace(change, fields=tuple(change.fields)) for change in agreed.changes]
    if serials := bare(changes):
        devices, decommission = desired_state(settings).devices, settings.on_removed.decommission
        changes = filled(changes, serials, devices, held, marks=rules, decommission=decommission)
    settled = settle(changes, held, marks=rules, merged=settings.api.merges)
    if settled.stale:
        raise StalePlan(
            f"{named(settled.stale, 50)} moved since this plan was made; nothing was sent; plan again",
            settled.stale,
        )
    checks = guarded(settings, settled.todo, held, len(held), server=snapshot.server, moment=moment)
    if refusals := [check for check in checks if not check.passed and check.rule not in allowed]:
        raise Refused(refusals)
    check_plan(settings, settled.todo, held)
    tasks = [_task(settings, change, snapshot, rules) for change in settled.todo]
    return settled.done, sorted(tasks, key=lambda task: (task.change.waits_for is not None, task.not_before))


def _task(settings: Settings, change: Change, snapshot: Snapshot, rules: Marks) -> "Task":
    from reconciler.apply.judge import Task
    from reconciler.apply.pace import settled_at

    state, api = snapshot.devices.get(change.serial, DeviceState({})), settings.api
    sent = body(change, state.fields, merged=api.merges)
    held = patched(state.fields, [(field.path, field.after) for field in change.fields])
    clear = partial(settled_at, body=sent, now=time.time(), timeout=api.timeout, linger=api.linger)
    unknown, late = clear(state.unknown), clear(state.late)
    return Task(
        change,
        sent,
        expected={name: held[name] for name in sent if name in held},
        removed=removed_keys(change, merged=api.merges),
        set_like=rules.set_like,
        secret=rules.secret,
        not_before=max(unknown, late),
        again=state.unknown is not None and not unknown,
    )

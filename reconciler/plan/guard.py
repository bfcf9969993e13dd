"""The rules that a plan must pass before it may be applied."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from reconciler.brief import actions, paths
from reconciler.model import ABSENT, Action, Change, DeviceState, GuardCheck, Serial
from reconciler.plan.freeze import frozen
from reconciler.plan.lifecycle import lived
from reconciler.plan.limits import limited
from reconciler.plan.news import same
from reconciler.plan.wording import named
from reconciler.pointer import get, split
from reconciler.policy import GuardSettings, LifecycleSettings

RULES = (
    "max_changed_pct",
    "max_released_pct",
    "max_changed",
    "max_released",
    "max_adopted",
    "max_fan_out",
    "protected",
    "lifecycle",
    "freeze",
    "on_removed.field",
    "unknown",
    "server",
)
"""Every rule, in the order in which plans show them."""


def guard(
    changes: Sequence[Change],
    devices: Mapping[Serial, DeviceState],
    *,
    total: int | None = None,
    limits: GuardSettings,
    moment: datetime,
    lifecycle: LifecycleSettings | None = None,
    removed: Literal["release", "null", "error"] = "release",
    servers: tuple[str, str] = ("", ""),
) -> tuple[GuardCheck, ...]:
    """What each of RULES finds in `changes` to a fleet that stands at `devices`.

    They are the whole fleet; or, with its size as `total`, at least those that `changes` are about.

    The law: each rule is there once, in that order, and either passes or refuses, whatever the plan and the limits. A
    first adoption is not a change; neither is sending again what has no answer yet. `moment` is aware of its time
    zone. `servers` are the base URLs that the state was applied to and that this plan is for, "" where not known.
    """
    total = len(devices) if total is None else total
    known = [changes[at] for at, action in enumerate(actions(changes)) if action is not Action.ADOPT]
    return (
        *limited(known, devices, limits, total=total, adopted=len(changes) - len(known)),
        _protected(known, devices, limits.protected),
        lived(known, devices, lifecycle or LifecycleSettings()),
        frozen(limits.freeze, moment, changes=len(changes)),
        _removed(known, error=removed == "error"),
        _unknown(known, devices),
        _moved(*(servers if total else ("", ""))),
    )


def _protected(
    changes: Sequence[Change], devices: Mapping[Serial, DeviceState], protected: Sequence[str]
) -> GuardCheck:
    """What is set for the first time is not a change; what was sent before and has no answer is not a new one."""
    found = []
    for path in protected:
        keys = tuple(path.split("."))
        hit = [change.serial for change in changes if _touches(change, devices.get(change.serial), keys)]
        if hit:
            found.append(f"{path} is protected, and the plan would change it on {named(hit)}")
    if found:
        override = "take that field out of the change, remove it from guard.protected, or: --allow protected"
        return GuardCheck("protected", passed=False, message="; ".join(found), override=override)
    said = f"protected and untouched: {', '.join(protected)}" if protected else "no field protected"
    return GuardCheck("protected", passed=True, message=said)


def _touches(change: Change, state: DeviceState | None, keys: tuple[str, ...]) -> bool:
    sent = state.unknown.body if state and state.unknown else {}
    changed = [
        split(field.path)
        for field in change.fields
        if field.before is not ABSENT and (field.after is ABSENT or not same(get(sent, field.path), field.after))
    ]
    return any(path[: len(keys)] == keys or keys[: len(path)] == path for path in changed)


def _removed(changes: Sequence[Change], *, error: bool) -> GuardCheck:
    hit = [change.serial for change in changes if _let_go(change)]
    if hit and error:
        return GuardCheck(
            "on_removed.field",
            passed=False,
            message=f'a field left the inventory on {named(hit)}, and on_removed.field is "error"',
            override="restore the field, set it to null, or let it go with: --allow on_removed.field",
        )
    said = "fields that leave the inventory are let go" if hit else "no field left the inventory"
    return GuardCheck("on_removed.field", passed=True, message=said)


def _unknown(changes: Sequence[Change], devices: Mapping[Serial, DeviceState]) -> GuardCheck:
    """Decommissioning may settle what has no answer: it sends that again, too."""
    hit = []
    for change in changes:
        replaced = devices.get(change.replaces) if change.replaces and not change.kept else None
        if change.replaces and replaced and replaced.unknown:
            hit.append(change.replaces)
        gone = _let_go(change)
        if not gone and change.action is not Action.RELEASE:
            continue
        state = devices.get(change.serial)
        sent = state.unknown if state else None
        if sent and (change.action is Action.RELEASE or gone & sent.body.keys()):
            hit.append(change.serial)
    if hit:
        return GuardCheck(
            "unknown",
            passed=False,
            message=f"the last PUT to {named(hit)} has no answer yet, and what it sent is no longer in the inventory",
            override="restore it for one more apply, or give up knowing with: --allow unknown",
        )
    return GuardCheck("unknown", passed=True, message="nothing is forgotten that has no answer yet")


def _let_go(change: Change) -> set[str]:
    """The fields that leave a device as a whole."""
    if all(path.count("/") > 1 for path in paths(change.fields)):
        return set()
    return {split(field.path)[0] for field in change.fields if field.after is ABSENT and field.path.count("/") == 1}


def _moved(before: str, now: str) -> GuardCheck:
    if before and now and before != now:
        return GuardCheck(
            "server",
            passed=False,
            message=f"this state says what {before} holds, and base_url is {now}",
            override="give each server a state of its own (the setting `state`); if the server moved: --allow server",
        )
    said = "the server is the one that the state speaks of" if before and now else "no other server is known of"
    return GuardCheck("server", passed=True, message=said)

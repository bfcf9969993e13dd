"""The rules that a plan must pass before it may be applied."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from reconciler.model import ABSENT, Action, Change, DeviceState, Refusal, Serial
from reconciler.pointer import get, split

RULES = ("max_changed_pct", "max_released_pct", "protected", "on_removed.field", "unknown", "server")


def guard(
    changes: Sequence[Change],
    devices: Mapping[Serial, DeviceState],
    *,
    max_changed_pct: float,
    max_released_pct: float,
    floor: int,
    protected: Sequence[str] = (),
    removed: Literal["release", "null", "error"] = "release",
    servers: tuple[str, str] = ("", ""),
) -> tuple[Refusal, ...]:
    """Every reason not to apply `changes` to a fleet that stands at `devices` (all of them, not only the targeted).

    Percentages count against all devices in the state and never refuse `floor` devices or fewer. A first adoption is
    not a change; neither is sending again what has no answer yet. `protected` are dotted field paths. `servers` are the
    base URLs that the state was applied to and that this plan is for, "" where that is not known.
    """
    total = len(devices)
    return (
        *_share(changes, Action.UPDATE, "max_changed_pct", limit=max_changed_pct, floor=floor, total=total),
        *_share(changes, Action.RELEASE, "max_released_pct", limit=max_released_pct, floor=floor, total=total),
        *_protected(changes, devices, protected),
        *(_removed(changes) if removed == "error" else ()),
        *_unknown(changes, devices),
        *(_moved(*servers) if devices else ()),
    )


def _share(
    changes: Sequence[Change], action: Action, rule: str, *, limit: float, floor: int, total: int
) -> Iterator[Refusal]:
    count = sum(change.action is action for change in changes)
    if count > floor and count * 100 > limit * total:
        verb = {Action.UPDATE: "update", Action.RELEASE: "release"}[action]
        yield Refusal(
            rule,
            f"the plan would {verb} {count} of {total} devices ({count * 100 / total:.0f} %); the limit is {limit:g} %",
            f"narrow it with --target, raise guard.{rule} in a reviewed change, or: --allow {rule}",
        )


def _protected(
    changes: Sequence[Change], devices: Mapping[Serial, DeviceState], protected: Sequence[str]
) -> Iterator[Refusal]:
    """What is set for the first time is not a change; what was sent before and has no answer is not a new one."""
    for path in protected:
        keys = tuple(path.split("."))
        hit = [change.serial for change in changes if _touches(change, devices.get(change.serial), keys)]
        if hit:
            yield Refusal(
                "protected",
                f"{path} is protected, and the plan would change it on {_named(hit)}",
                "take that field out of the change, remove it from guard.protected, or: --allow protected",
            )


def _touches(change: Change, state: DeviceState | None, keys: tuple[str, ...]) -> bool:
    sent = state.unknown.body if state and state.unknown else {}
    changed = [
        split(field.path)
        for field in change.fields
        if field.before is not ABSENT and (field.after is ABSENT or get(sent, field.path) != field.after)
    ]
    return any(path[: len(keys)] == keys or keys[: len(path)] == path for path in changed)


def _removed(changes: Sequence[Change]) -> Iterator[Refusal]:
    hit = [
        change.serial
        for change in changes
        if any(field.after is ABSENT and len(split(field.path)) == 1 for field in change.fields)
    ]
    if hit:
        yield Refusal(
            "on_removed.field",
            f'a field left the inventory on {_named(hit)}, and on_removed.field is "error"',
            "restore the field, set it to null, or let it go with: --allow on_removed.field",
        )


def _moved(before: str, now: str) -> Iterator[Refusal]:
    if before and now and before != now:
        yield Refusal(
            "server",
            f"this state says what {before} holds, and base_url is {now}",
            "give each server a state of its own (the setting `state`); or, if the server moved: --allow server",
        )


def _unknown(changes: Sequence[Change], devices: Mapping[Serial, DeviceState]) -> Iterator[Refusal]:
    hit = []
    for change in changes:
        state = devices.get(change.serial)
        if state is None or state.unknown is None:
            continue
        gone = {split(field.path)[0] for field in change.fields if field.after is ABSENT and field.path.count("/") == 1}
        if change.action is Action.RELEASE or gone & state.unknown.body.keys():
            hit.append(change.serial)
    if hit:
        yield Refusal(
            "unknown",
            f"the last PUT to {_named(hit)} has no answer yet, and what it sent is no longer in the inventory",
            "restore it for one more apply, or give up knowing with: --allow unknown",
        )


def _named(serials: Sequence[Serial]) -> str:
    shown = ", ".join(serials[:3])
    return shown + (f" and {len(serials) - 3} more" if len(serials) > 3 else "")  # noqa: PLR2004 - three names read well

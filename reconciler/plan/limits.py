"""How many devices a plan may concern."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from reconciler.model import Action, Change, DeviceState, FieldChange, GuardCheck, Serial
from reconciler.plan.news import news
from reconciler.plan.wording import NAMED, devices
from reconciler.policy import GuardSettings

COUNTED = {"changed": "update", "released": "release", "adopted": "adopt"}
"""What the limits count, and what a plan is then said to do.

To send again what has no answer yet is none of these, unless something new goes with it: then it is a change. To
replace a device is to adopt one and to release another, whatever becomes of that.
"""


def limited(
    changes: Sequence[Change],
    states: Mapping[Serial, DeviceState],
    settings: GuardSettings,
    *,
    total: int,
    adopted: int,
) -> Iterator[GuardCheck]:
    """The limits, each once, for a fleet of `total` that stands at `states`; so many more devices are `adopted`.

    The law: a percentage refuses `count` devices if and only if count > floor and count * 100 > limit * total, and any
    other limit if and only if count > limit.
    """
    new = {change.serial: _changed(change, states) for change in changes}
    count = {
        "changed": sum(change.action is Action.UPDATE or bool(new[change.serial]) for change in changes),
        "released": sum(_releases(change) for change in changes),
        "adopted": adopted + sum(change.action in {Action.ADOPT, Action.REPLACE} for change in changes),
    }
    yield _share("changed", count["changed"], settings.max_changed_pct, total, settings.floor)
    yield _share("released", count["released"], settings.max_released_pct, total, settings.floor)
    yield _absolute("changed", count["changed"], settings.max_changed)
    yield _absolute("released", count["released"], settings.max_released)
    yield _absolute("adopted", count["adopted"], settings.max_adopted)
    yield _fan_out(new, settings.max_fan_out)


def _changed(change: Change, states: Mapping[Serial, DeviceState]) -> Sequence[FieldChange]:
    """What is new about a device that is known already."""
    if change.action is Action.UPDATE:
        return change.fields
    state = states.get(change.serial) if change.action is Action.RESEND else None
    return tuple(news(change, state)) if state else ()


def _releases(change: Change) -> bool:
    gone = change.action in {Action.RELEASE, Action.DECOMMISSION} and not change.waits_for
    return gone or change.action is Action.REPLACE or change.replaces is not None


def _share(word: str, count: int, limit: float, total: int, floor: int) -> GuardCheck:
    share = count * 100 / total if total else 100.0 * bool(count)
    rule = f"max_{word}_pct"
    above = count * 100 > limit * total
    if above and count > floor:
        verb = COUNTED[word]
        message = f"the plan would {verb} {count:,} of {total:,} devices ({share:.3g} %); the limit is {limit:g} %"
        return _refused(rule, message, share, limit)
    said = f"{count:,} of {total:,} {word} ({share:.3g} %, limit" if count else f"0 {word} (limit"
    why = f" beyond the floor of {floor:,}" if above else ""
    return _passed(rule, f"{said} {limit:g} %{why})", share, limit)


def _absolute(word: str, count: int, limit: int | None) -> GuardCheck:
    rule = f"max_{word}"
    if limit is not None and count > limit:
        message = f"the plan would {COUNTED[word]} {devices(count)}; the limit is {limit:,}"
        return _refused(rule, message, count, limit)
    said = "no limit" if limit is None else f"limit {limit:,}"
    return _passed(rule, f"{count:,} {word} ({said})", count, limit)


def _fan_out(new: Mapping[Serial, Sequence[FieldChange]], limit: int | None) -> GuardCheck:
    """By line of the inventory, however many of its values a device takes."""
    lines: defaultdict[str, set[Serial]] = defaultdict(set)
    for serial, fields in new.items():
        for field in fields:
            if field.source:
                lines[f"{field.source.file}:{field.source.line}"].add(serial)
    widest = sorted(((len(serials), line) for line, serials in lines.items()), key=lambda item: (-item[0], item[1]))
    most = widest[0][0] if widest else 0
    if limit is not None and most > limit:
        over = [f"{line} changes {devices(count)}" for count, line in widest if count > limit]
        more = f" and {len(over) - NAMED:,} more lines" if len(over) > NAMED else ""
        return _refused(
            "max_fan_out", f"{', '.join(over[:NAMED])}{more}; the limit for one line is {limit:,}", most, limit
        )
    said = "no limit" if limit is None else f"limit {limit:,}"
    return _passed("max_fan_out", f"fan-out {most:,} ({said})", most, limit)


def _passed(rule: str, message: str, measured: float, limit: float | None) -> GuardCheck:
    return GuardCheck(rule, passed=True, message=message, measured=measured, limit=limit)


def _refused(rule: str, message: str, measured: float, limit: float) -> GuardCheck:
    override = f"narrow it with --target, raise guard.{rule} in a reviewed change, or: --allow {rule}"
    return GuardCheck(rule, passed=False, message=message, override=override, measured=measured, limit=limit)

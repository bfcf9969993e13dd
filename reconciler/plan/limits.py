"""How many devices a plan may concern."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from reconciler.model import Action, Change, GuardCheck, Serial
from reconciler.plan.wording import NAMED, devices
from reconciler.policy import GuardSettings

COUNTED = {
    "changed": (frozenset({Action.UPDATE}), "update"),
    "released": (frozenset({Action.RELEASE, Action.DECOMMISSION, Action.REPLACE}), "release"),
    "adopted": (frozenset({Action.ADOPT, Action.REPLACE}), "adopt"),
}
"""What the limits count, and what a plan is said to do. To send again what has no answer yet is none of these; to
replace a device is both, to adopt one and to release another, whatever becomes of that."""


def limited(changes: Sequence[Change], settings: GuardSettings, *, total: int) -> Iterator[GuardCheck]:
    """The limits, each once. `total` devices are in the state.

    The law: a percentage refuses `count` devices if and only if count > floor and count * 100 > limit * total, and any
    other limit if and only if count > limit.
    """
    count = {
        word: sum(change.action in actions and not change.waits_for for change in changes)
        for word, (actions, _) in COUNTED.items()
    }
    yield _share("changed", count["changed"], settings.max_changed_pct, total, settings.floor)
    yield _share("released", count["released"], settings.max_released_pct, total, settings.floor)
    yield _absolute("changed", count["changed"], settings.max_changed)
    yield _absolute("released", count["released"], settings.max_released)
    yield _absolute("adopted", count["adopted"], settings.max_adopted)
    yield _fan_out(changes, settings.max_fan_out)


def _share(word: str, count: int, limit: float, total: int, floor: int) -> GuardCheck:
    share = count * 100 / total if total else 100.0 * bool(count)
    rule = f"max_{word}_pct"
    if count > floor and count * 100 > limit * total:
        verb = COUNTED[word][1]
        message = f"the plan would {verb} {count:,} of {total:,} devices ({share:.3g} %); the limit is {limit:g} %"
        return _refused(rule, message, share, limit)
    said = f"{count:,} of {total:,} {word} ({share:.3g} %, limit" if count else f"0 {word} (limit"
    return _passed(rule, f"{said} {limit:g} %)", share, limit)


def _absolute(word: str, count: int, limit: int | None) -> GuardCheck:
    rule = f"max_{word}"
    if limit is not None and count > limit:
        message = f"the plan would {COUNTED[word][1]} {devices(count)}; the limit is {limit:,}"
        return _refused(rule, message, count, limit)
    said = "no limit" if limit is None else f"limit {limit:,}"
    return _passed(rule, f"{count:,} {word} ({said})", count, limit)


def _fan_out(changes: Sequence[Change], limit: int | None) -> GuardCheck:
    """By line of the inventory, however many of its values a device takes."""
    lines: defaultdict[str, set[Serial]] = defaultdict(set)
    for change in changes:
        for field in change.fields if change.action is Action.UPDATE else ():
            if field.source:
                lines[f"{field.source.file}:{field.source.line}"].add(change.serial)
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

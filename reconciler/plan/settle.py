"""Where each device stands between the two ends of a plan's change, now that it is to be applied. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.model import Action, Change, DeviceState, Serial
from reconciler.plan.body import body
from reconciler.plan.diff import fingerprint
from reconciler.plan.marks import Marks
from reconciler.plan.news import same
from reconciler.pointer import get


@dataclass(frozen=True, slots=True)
class Settled:
    """`todo` stands where the plan began, `done` where it leads, `stale` at neither end."""

    todo: tuple[Change, ...]
    done: tuple[Serial, ...]
    stale: tuple[Serial, ...]


def settle(
    changes: Sequence[Change], devices: Mapping[Serial, DeviceState], *, marks: Marks, merged: Callable[[str], bool]
) -> Settled:
    """Sort the changes of a plan by where their devices stand, and those that they let be forgotten.

    A device whose own PUT of this very plan has no answer yet (a crash came between) still stands at the beginning.
    """
    todo, done, stale = [], [], []
    for change in changes:
        state = devices.get(change.serial)
        forgotten = devices.get(change.replaces) if change.replaces and not change.kept else None
        held = fingerprint(state.fields if state else {}, marks)
        if _arrived(change, state, held) and not forgotten:
            done.append(change.serial)
        elif _at_start(change, state, held, marks, merged) and _as_it_was(change, forgotten, marks):
            todo.append(change)
        else:
            stale.append(change.serial)
    return Settled(tuple(todo), tuple(done), tuple(stale))


def _as_it_was(change: Change, forgotten: DeviceState | None, marks: Marks) -> bool:
    """Whether the device that this change lets be forgotten, if any, still stands where it did."""
    return (fingerprint(forgotten.fields, marks) if forgotten else None) == change.forgets


def _arrived(change: Change, state: DeviceState | None, held: str) -> bool:
    if change.action is Action.RELEASE or state is None:
        return state is None and change.action is Action.RELEASE
    if state.unknown is not None or held != change.after:
        return False
    if change.action is Action.RESEND and change.unknown is None and (state.divergence or state.unconfirmed):
        return False
    return all(same(get(state.fields, field.path), field.after) for field in change.fields if field.sensitive)


def _at_start(
    change: Change, state: DeviceState | None, held: str, marks: Marks, merged: Callable[[str], bool]
) -> bool:
    if held != change.before:
        return False
    if state is None or state.unknown is None:
        return change.unknown is None
    unknown = fingerprint(state.unknown.body, marks)
    return unknown in {change.unknown, fingerprint(body(change, state.fields, merged=merged), marks)}

"""What the journal is told about one device: the intent before anything is sent, the outcome after. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from reconciler import __version__
from reconciler.apply.judge import Task
from reconciler.change_json import divergence_to_json, field_to_json
from reconciler.model import (
    Accepted,
    Action,
    Applied,
    Change,
    Divergent,
    Draft,
    EntryKind,
    Holder,
    Json,
    NotAttempted,
    Outcome,
    Plan,
    Rejected,
    Unknown,
)


def began(plan: Plan, holder: Holder, *, commit: str, server: str, allowed: Sequence[str], run: str, at: str) -> Draft:
    """A run begins: who, where, of which commit, to which server, carrying out which plan, with which guards raised."""
    data: dict[str, Json] = {
        "command": "apply",
        "by": holder.by,
        "host": holder.host,
        "pid": holder.pid,
        "commit": commit,
        "url": holder.url,
        "server": server,
        "version": __version__,
        "digest": plan.digest,
        "allowed": list(allowed),
    }
    return Draft(EntryKind.RUN, at, run, data=data)


def ended(outcomes: Iterable[Outcome], exit_code: int, *, run: str, at: str) -> Draft:
    """A run is over; `counts` by kind of outcome."""
    counts = Counter(type(outcome).__name__ for outcome in outcomes)
    return Draft(EntryKind.ENDED, at, run, data={"exit_code": exit_code, "counts": dict(counts)})


def intended(task: Task, *, run: str, at: str) -> tuple[Draft, ...]:
    """A PUT is about to be sent."""
    data: dict[str, Json] = {"action": task.change.action, "fields": _fields(task), "body": dict(task.body)}
    if task.change.replaces:
        data["replaces"] = task.change.replaces
    return (Draft(EntryKind.INTENT, at, run, task.change.serial, data),)


def unsent(task: Task, *, run: str, at: str) -> tuple[Draft, ...]:
    """A change that needs nothing sent: a release, or fields that are only given up; and what is forgotten with it."""
    if task.change.action is Action.RELEASE:
        return (Draft(EntryKind.RELEASED, at, run, task.change.serial),)
    settled = Draft(EntryKind.APPLIED, at, run, task.change.serial, {"fields": _fields(task)})
    return settled, *_replaced(task.change, run=run, at=at)


def _result(outcome: Outcome, *, run: str, at: str) -> Draft:
    data: dict[str, Json]
    match outcome:
        case Applied(_, status, attempts):
            kind, data = EntryKind.APPLIED, {"status": status, "attempts": attempts}
        case Divergent(_, status, attempts, found):
            listed: list[Json] = [divergence_to_json(item) for item in found]
            kind, data = EntryKind.DIVERGENT, {"status": status, "attempts": attempts, "divergence": listed}
        case Accepted(_, status, attempts):
            kind, data = EntryKind.ACCEPTED, {"status": status, "attempts": attempts}
        case Rejected(_, status, attempts, reasons):
            words = "; ".join(f"{path}: {text}" if path else text for path, text in reasons)
            kind, data = EntryKind.REJECTED, {"status": status, "attempts": attempts, "reason": words}
        case Unknown(_, attempts, reason):
            kind, data = EntryKind.UNKNOWN, {"attempts": attempts, "reason": reason}
        case NotAttempted(_, reason):
            kind, data = EntryKind.NOT_SENT, {"reason": reason}
    if isinstance(outcome, Applied | Divergent | Accepted) and outcome.late:
        data["late"] = True
    return Draft(kind, at, run, outcome.change.serial, data)


def results(outcome: Outcome, *, run: str, at: str) -> tuple[Draft, ...]:
    """The outcome of an intent that was recorded before, and that the device which this one replaces is forgotten."""
    settled = isinstance(outcome, Applied | Divergent | Accepted)
    return _result(outcome, run=run, at=at), *(_replaced(outcome.change, run=run, at=at) if settled else ())


def _replaced(change: Change, *, run: str, at: str) -> tuple[Draft, ...]:
    if change.replaces is None or change.kept:
        return ()
    return (Draft(EntryKind.REPLACED, at, run, change.replaces, {"by": change.serial}),)


def _fields(task: Task) -> list[Json]:
    return [field_to_json(field) for field in task.change.fields]

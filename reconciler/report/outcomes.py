"""What became of every device, as text and as a JSON document."""

from collections.abc import Iterator, Mapping, Sequence

from click import style

from reconciler.change_json import divergence_to_json
from reconciler.model import (
    ABSENT,
    Accepted,
    Applied,
    Change,
    Divergence,
    Divergent,
    Json,
    NotAttempted,
    Outcome,
    Plan,
    Rejected,
    Serial,
    Source,
    Unknown,
)
from reconciler.printable import dotted, printable, value

FORMAT_VERSION = 1
NOT_FOUND = 404
LINES = 50
"""How many devices of one kind are named with their reasons; the JSON report names all."""

WORDS: Mapping[type[Outcome], tuple[str, str]] = {
    Applied: ("applied", "green"),
    Accepted: ("accepted", "yellow"),
    Divergent: ("divergent", "yellow"),
    Rejected: ("rejected", "red"),
    Unknown: ("unknown", "magenta"),
    NotAttempted: ("not attempted", "cyan"),
}


def outcomes_text(outcomes: Sequence[Outcome], *, done: Sequence[Serial], seconds: float, stopped: bool) -> str:
    """Every device that is not applied, with the reason and its place; then the count and the next command to type.

    `stopped`: the run ended early for a reason that is told elsewhere.
    """
    lines = [line for kind in list(WORDS)[1:] for line in _kind([item for item in outcomes if type(item) is kind])]
    counts = [f"{number:,} {word}" for word, number in tally(outcomes).items() if number]
    if done:
        counts.append(f"{len(done):,} already done")
    lines.append(f"{style('Apply:', bold=True)} {', '.join(counts) or 'nothing to do'} in {seconds:.1f} s.")
    return "\n".join([*lines, *_next_steps(outcomes, stopped=stopped)])


def tally(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many devices had each kind of outcome."""
    return {word: sum(type(outcome) is kind for outcome in outcomes) for kind, (word, _) in WORDS.items()}


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """One device with the place of what the first reason is about; then a line for each reason."""
    reasons = list(_reasons(outcome))
    source = _place(outcome.change, reasons[0][0] if reasons else "")
    place = style(f"  {printable(source.file)}:{source.line}", dim=True) if source else ""
    yield f"{_word(outcome)} {style(outcome.change.serial, bold=True)}{place}"
    for _, reason in reasons:
        yield f"    {reason}"


def document(
    outcomes: Sequence[Outcome],
    *,
    run: str,
    started: str,
    seconds: float,
    plan: Plan,
    done: Sequence[Serial],
    exit_code: int,
    error: str,
) -> dict[str, Json]:
    """The report that `--report FILE` writes; see schemas/report.schema.json."""
    result: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "run": run,
        "started": started,
        "seconds": round(seconds, 3),
        "lineage": plan.lineage,
        "digest": plan.digest,
        "exit_code": exit_code,
        "counts": {**tally(outcomes), "already done": len(done)},
        "outcomes": [_outcome_json(outcome) for outcome in outcomes],
        "already_done": list(done),
    }
    if error:
        result["error"] = error
    return result


def _kind(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Devices with the same reason and no place of their own share a line; of the others each has its own."""
    together: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        alike = outcome.reason if isinstance(outcome, NotAttempted) else outcome.change.serial
        together.setdefault(alike, []).append(outcome)
    for alike in list(together)[:LINES]:
        group = together[alike]
        if len(group) == 1:
            yield from outcome_lines(group[0])
            continue
        named = ", ".join(outcome.change.serial for outcome in group[:LINES])
        more = f" … and {len(group) - LINES:,} more (--report FILE.json names all)" if len(group) > LINES else ""
        yield f"{_word(group[0])} {style(f'{len(group):,} devices', bold=True)}: {named}{more}"
        yield f"    {printable(alike)}"
    if len(together) > LINES:
        hidden = sum(len(group) for group in list(together.values())[LINES:])
        yield f"… and {hidden:,} more {WORDS[type(outcomes[0])][0]} (--report FILE.json names all)"


def _word(outcome: Outcome) -> str:
    word, color = WORDS[type(outcome)]
    return style(word, fg=color)


def _reasons(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """(JSON Pointer or "", words)."""
    match outcome:
        case Applied():
            return
        case Accepted(_, status):
            yield "", f"the server took it ({status}) and did not show the result"
        case Divergent():
            yield from ((item.path, _divergence(item)) for item in outcome.divergence)
        case Rejected(_, status, attempts, reasons):
            again = f" after {attempts} attempts" if attempts > 1 else ""
            if status == NOT_FOUND:
                yield "", f"{status}{again} the server does not know this serial number"
                return
            for path, text in reasons:
                yield path, f"{status}{again} {f'{dotted(path)}: ' if path else ''}{printable(text)}"
        case Unknown(_, attempts, reason):
            yield "", f"{printable(reason)} ({attempts} attempt{'s' if attempts != 1 else ''})"
        case NotAttempted(_, reason):
            yield "", printable(reason)


def _divergence(item: Divergence) -> str:
    if item.sent is ABSENT:
        return (
            f"{dotted(item.path)} was removed, and the server still holds {value(item.echoed)}:"
            ' it merges nested objects; set api.nested = "merge"'
        )
    held = "nothing" if item.echoed is ABSENT else value(item.echoed)
    return f"{dotted(item.path)} was sent as {value(item.sent)}; the server holds {held}"


def _place(change: Change, path: str) -> Source | None:
    """Where the value is declared that the server speaks about."""
    for field in change.fields:
        if path and field.source and (path == field.path or path.startswith(field.path + "/")):
            return field.source
    return change.source


def _next_steps(outcomes: Sequence[Outcome], *, stopped: bool) -> Iterator[str]:
    kinds = {type(outcome) for outcome in outcomes}
    if stopped:
        yield "The run ended early. Once its reason is mended, run apply again: finished devices are not sent again."
        return
    if Rejected in kinds:
        yield "Rejected: nothing was changed on these devices. Correct them, then: reconciler plan"
    if Divergent in kinds:
        yield "Divergent: declare what the server holds, or send again with: reconciler apply --resend"
    if Unknown in kinds:
        yield "Unknown: run apply again. Devices without an answer are sent again; finished ones are not."
    if NotAttempted in kinds:
        yield "Not attempted: nothing was sent; run apply again."


def _outcome_json(outcome: Outcome) -> dict[str, Json]:
    change = outcome.change
    result: dict[str, Json] = {
        "serial": change.serial,
        "action": change.action,
        "outcome": WORDS[type(outcome)][0],
        "attempts": 0 if isinstance(outcome, NotAttempted) else outcome.attempts,
    }
    if change.source:
        result["source"] = {"file": change.source.file, "line": change.source.line}
    if isinstance(outcome, Applied | Accepted | Divergent | Rejected) and outcome.status is not None:
        result["status"] = outcome.status
    if isinstance(outcome, Divergent):
        result["divergence"] = [divergence_to_json(item) for item in outcome.divergence]
    if isinstance(outcome, Rejected):
        result["reasons"] = [{"path": path, "message": text} for path, text in outcome.reasons]
    if isinstance(outcome, Unknown | NotAttempted):
        result["reason"] = outcome.reason
    return result

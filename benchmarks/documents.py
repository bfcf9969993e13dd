"""The tables and the plot, made from results.json: no figure of a plan is typed by hand.

`python benchmarks/documents.py` rewrites every block `<!-- measured: NAME -->` of the documents.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import plot
import results
from results import Measured
from work import SHORT, TARGETS, WORK, floor_of

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "benchmarks" / "README.md"
PERFORMANCE = ROOT / "docs" / "performance.md"
DOCUMENTS = (README, PERFORMANCE)
PLOT = ROOT / "docs" / "performance.svg"
BLOCK = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- /measured -->)", re.DOTALL)


def write(fleets: Sequence[Measured]) -> None:
    """Fill every document, and draw the plot."""
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text(), fleets))
    PLOT.write_text(plot.svg(fleets))


def filled(text: str, fleets: Sequence[Measured]) -> str:
    """The document with every block made anew. Raises KeyError for a block that nobody makes."""
    return BLOCK.sub(lambda found: found[1] + "\n".join(BLOCKS[found[2]](fleets)) + "\n" + found[3], text)


def every_figure(fleets: Iterable[Measured]) -> Iterator[str]:
    """A table a fleet: what each piece of work cost, beside its floor, and whether the target is met."""
    for one in fleets:
        yield from (f"### {_called(one)}", "")
        yield from ("| | CPU s | wall s | peak MiB | beside its floor | target |", "|---|---:|---:|---:|---|---|")
        for name, words in WORK.items():
            if name in one.figures:
                cost = one.figures[name]
                words = f"{one.programs[name]}: {words}" if name in one.programs else words  # noqa: PLW2901
                figures = f"{_short(cost.cpu)} | {_short(cost.wall)} | {cost.memory:.0f}"
                yield f"| {words} | {figures} | {_beside(one, name)} | {_verdicts(one, name)} |"
        yield from ("", f"{_runs(one)} {one.date}, {one.machine}.", "")


def growth(fleets: Iterable[Measured]) -> Iterator[str]:
    """CPU seconds by number of files, one device each."""
    yield from _by_size([one for one in fleets if one.per_file == 1], lambda one: f"{one.files:,} files")


def lists(fleets: Iterable[Measured]) -> Iterator[str]:
    """CPU seconds by number of devices, where they are in long lists."""
    yield from _by_size([one for one in fleets if one.per_file > 1], lambda one: f"{one.devices:,} devices")


def changed(fleets: Iterable[Measured]) -> Iterator[str]:
    """What a plan costs by number of changed files, in the largest fleet where that was measured."""
    one = max((one for one in fleets if one.changed), key=lambda one: one.files)
    yield from (f"| of {one.files:,} files changed | CPU s | wall s | peak MiB |", "|---:|---:|---:|---:|")
    for count, cost in {0: one.figures["no-op"], **one.changed}.items():
        yield f"| {count:,} | {_short(cost.cpu)} | {_short(cost.wall)} | {cost.memory:.0f} |"


def targets(fleets: Iterable[Measured]) -> Iterator[str]:
    """Every target, and what was measured."""
    yield from ("| work | devices | target | measured | |", "|---|---:|---|---:|---|")
    by_fleet = {(one.devices, one.per_file): one for one in fleets}
    for target in TARGETS:
        one = by_fleet.get((target.devices, target.per_file))
        files = f"{target.devices:,}" + ("" if target.per_file == 1 else f" in files of {target.per_file:,}")
        fleet = "any" if target.resource == "above" else files
        told = "not measured yet | "
        if one and target.work in one.figures:
            told = f"{_short(target.measured(one.figures))} | {'met' if target.met(one.figures) else '**missed**'}"
        yield f"| {WORK[target.work].strip('*')} | {fleet} | {target} | {told} |"


def _by_size(fleets: Sequence[Measured], size: Callable[[Measured], str]) -> Iterator[str]:
    yield f"| CPU s | {' | '.join(map(size, fleets))} |"
    yield f"|---|{'---:|' * len(fleets)}"
    for name, words in WORK.items():
        costs = [one.figures.get(name) for one in fleets]
        program = next((one.programs[name] for one in fleets if name in one.programs), "")
        if any(costs):
            cells = " | ".join(_short(cost.cpu) if cost else "" for cost in costs)
            yield f"| {f'{program}: ' if program else ''}{words} | {cells} |"


def machines(fleets: Iterable[Measured]) -> Iterator[str]:
    """Where and when the figures were measured."""
    yield from sorted({f"{one.date}, {one.machine}." for one in fleets})


def _called(one: Measured) -> str:
    return f"{one.devices:,} devices, " + ("one file each" if one.per_file == 1 else f"{one.per_file:,} a file")


def _runs(one: Measured) -> str:
    return f"Median of {one.runs} runs; `validate`, the clone and peers once." if one.runs > 1 else "One run."


def _beside(one: Measured, name: str) -> str:
    if found := floor_of(name, one.figures):
        floor, ratio = found
        return f"{ratio:.0f} times {SHORT[floor]}" if ratio >= 10 else f"{ratio:.2g} times {SHORT[floor]}"  # noqa: PLR2004
    return ""


def _verdicts(one: Measured, name: str) -> str:
    return ", ".join(
        f"{target}: {'met' if target.met(one.figures) else '**missed**'}"
        for target in TARGETS
        if (target.work, target.devices, target.per_file) == (name, one.devices, one.per_file)
    )


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 100 else f"{number:,.0f}"  # noqa: PLR2004 - three digits tell enough


BLOCKS: dict[str, Callable[[Sequence[Measured]], Iterator[str]]] = {
    "figures": every_figure,
    "growth": growth,
    "lists": lists,
    "changed": changed,
    "targets": targets,
    "machines": machines,
}

if __name__ == "__main__":
    write(results.load())

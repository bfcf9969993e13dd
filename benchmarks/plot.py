"""How the cost of a plan grows, as one SVG of three log-log panels that reads well on light and on dark pages."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from results import Measured

Points = tuple[tuple[float, float], ...]

NAMES = {
    "plan": "plan",
    "first": "first plan",
    "percent": "1 % changed",
    "no-op": "nothing changed",
    "hash": "hashing every file",
    "git-status": "git status",
    "octodns": "octoDNS",
    "terraform": "Terraform",
}
COLOURS = {
    # kind: on light, on dark
    "page": ("#ffffff", "#0d1117"),
    "title": ("#1f2328", "#e6edf3"),
    "tick": ("#656d76", "#9198a1"),
    "grid": ("#d8dee4", "#262c36"),
    "first": ("#8250df", "#ab7df8"),
    "plan": ("#0969da", "#4493f8"),
    "percent": ("#0969da", "#4493f8"),
    "no-op": ("#1a7f37", "#3fb950"),
    "floor": ("#818b98", "#7d8590"),
    "octodns": ("#bc4c00", "#f0883e"),
    "terraform": ("#cf222e", "#ff7b72"),
}
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
text.title { font-weight: 600; font-size: 14px; }
text.name { font-weight: 500; }
text, circle, rect { fill: currentColor; }
path { fill: none; stroke: currentColor; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
path.grid { stroke-width: 1; }
path.floor { stroke-width: 1.5; stroke-dasharray: 1 4; }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot of lines by name in NAMES, in a box of the picture; x is what `title` says, y CPU seconds."""

    title: str
    lines: dict[str, Points]
    left: float
    top: float
    width: float
    height: float


def svg(fleets: Sequence[Measured]) -> str:
    """The picture of all that was measured."""
    singles = [one for one in fleets if one.per_file == 1]
    listed = [one for one in fleets if one.per_file > 1]
    largest = max((one for one in singles if one.changed), key=lambda one: one.files, default=None)
    panels = [Panel("Files, one device each", _lines(singles), 56, 60, 380, 400)]
    if largest:
        points = tuple((float(count), cost.cpu) for count, cost in largest.changed.items())
        hashing = tuple((count, largest.figures["hash"].cpu) for count, _ in points)
        lines = {"plan": points, "hash": hashing}
        panels.append(Panel(f"Changed files, of {largest.files:,}", lines, 640, 60, 190, 160))
    if listed:
        panels.append(Panel("Devices, 1,000 a file", _lines(listed), 640, 300, 190, 160))
    drawn = "\n".join(text for panel in panels for text in _panel(panel))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 520" role="img" aria-labelledby="what">\n'
        f'<title id="what">CPU seconds of a plan, by files, changed files and devices</title>\n<style>{STYLE}'
        f"{_colours(0)}@media (prefers-color-scheme: dark) {{\n{_colours(1)}}}\n</style>\n"
        '<rect class="page" width="960" height="520" rx="8"/>\n'
        f"{drawn}\n</svg>\n"
    )


def _colours(column: int) -> str:
    return "".join(f".{kind} {{ color: {colours[column]}; }}\n" for kind, colours in COLOURS.items())


def _lines(fleets: Iterable[Measured]) -> dict[str, Points]:
    points = {
        name: tuple((float(one.devices), one.figures[name].cpu) for one in fleets if name in one.figures)
        for name in NAMES
    }
    return {name: found for name, found in points.items() if found}


def _panel(panel: Panel) -> Iterator[str]:
    x_from, x_to = _decades(x for points in panel.lines.values() for x, _ in points)
    y_from, y_to = _decades(y for points in panel.lines.values() for _, y in points)
    bottom, right = panel.top + panel.height, panel.left + panel.width

    def across(x: float) -> float:
        return panel.left + (log10(x) - x_from) / (x_to - x_from) * panel.width

    def down(y: float) -> float:
        return bottom - (log10(max(y, 10.0**y_from)) - y_from) / (y_to - y_from) * panel.height

    yield f'<text class="title" x="{panel.left - 36:.1f}" y="{panel.top - 32:.1f}">{panel.title}</text>'
    yield f'<text class="tick" x="{panel.left - 36:.1f}" y="{panel.top - 15:.1f}">CPU seconds of a plan</text>'
    for power in range(y_from, y_to + 1):
        y = down(10.0**power)
        yield f'<path class="grid" d="M{panel.left:.1f} {y:.1f}H{right:.1f}"/>'
        yield f'<text class="tick" x="{panel.left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,g}</text>'
    for power in range(x_from, x_to + 1):
        x = across(10.0**power)
        yield f'<path class="grid" d="M{x:.1f} {panel.top:.1f}V{bottom:.1f}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{_short(power)}</text>'
    ends: dict[str, tuple[float, float]] = {}
    for name, points in panel.lines.items():
        kind = _kind(name)
        at = [(across(x), down(y)) for x, y in points]
        yield f'<path class="{kind}" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in at)}"/>'
        yield from (f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in at if kind != "floor")
        ends[name] = at[-1]
    for name, (x, y) in _apart(ends).items():
        kind = _kind(name)
        yield f'<text class="name {kind}" x="{x + 9:.1f}" y="{y + 4:.1f}">{NAMES[name]}</text>'


def _kind(name: str) -> str:
    """By which COLOURS and STYLE know a line."""
    return "floor" if name in {"hash", "git-status"} else name


def _apart(ends: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Where the names stand: beside the ends of their lines, and 15 below the name above, if that ends there, too."""
    placed: dict[str, tuple[float, float]] = {}
    for name, (x, y) in sorted(ends.items(), key=lambda end: end[1][1]):
        above = [other for at, other in placed.values() if at == x]
        placed[name] = (x, max([y, *(other + 15 for other in above)]))
    return placed


def _decades(values: Iterable[float]) -> tuple[int, int]:
    """The powers of ten around all values, one apart at least."""
    known = list(values)
    low, high = floor(log10(max(min(known), 0.001))), ceil(log10(max(*known, 0.001)))
    return low, max(high, low + 1)


def _short(power: int) -> str:
    return {0: "1", 1: "10", 2: "100", 3: "1,000", 4: "10,000", 5: "100,000", 6: "1 million"}.get(power, f"10^{power}")

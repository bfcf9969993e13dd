"""One change as lines of text: of a field, of a device, of devices that change alike, of a line that changes many."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from click import style

from reconciler.model import ABSENT, Action, Change, FieldChange, Source, Value
from reconciler.pointer import split
from reconciler.printable import differing, dotted, printable, value
from reconciler.report.fold import Cause, spelled

SYMBOLS = {
    Action.ADOPT: "+",
    Action.REPLACE: "±",
    Action.UPDATE: "~",
    Action.RESEND: "!",
    Action.RELEASE: "-",
    Action.DECOMMISSION: "x",
}
COLORS = {"+": "green", "±": "green", "~": "yellow", "!": "magenta", "-": "red", "x": "red"}
NAMED = 12
"""So many members of a group are named, if they fit into NAMES characters."""
NAMES = 100
FEW = 3
"""So many members of a cause are named, and so many of the values that they hold."""
VALUE = 60
"""Characters of a value where many devices share a line."""
PATH = 80
"""Characters of a path there."""

Merges = Callable[[str], bool]
"""Whether an object of that top-level field is sent key by key."""


def colored(symbol: str) -> str:
    """A symbol, bold and in its colour."""
    return style(symbol, fg=COLORS[symbol], bold=True)


def fields_counted(number: int) -> str:
    """`1 field`, `1,880 fields`."""
    return f"{number:,} field{'s' if number != 1 else ''}"


def where(source: Source) -> str:
    """The file and the line, without the column."""
    return printable(f"{source.file}:{source.line}")


def who(group: Sequence[Change]) -> str:
    """The serial of one; the number and the first serials of more."""
    return group[0].serial if len(group) == 1 else f"{len(group):,} devices: {named(group)}"


def named(group: Sequence[Change], limit: int = NAMES) -> str:
    """The first serials, `limit` characters or so, and a mark if there are more."""
    return listed([change.serial for change in group[:NAMED]], len(group), limit)


def listed(first: Sequence[str], count: int, limit: int) -> str:
    """As `named`, of `count` devices; `first` are the serials of those that may be named."""
    names = first[: _fitting(first, limit)]
    return ", ".join(names) + (", …" if len(names) < count else "")


def all_named(group: Sequence[Change]) -> bool:
    """Whether `named` leaves nobody out."""
    return _fitting([change.serial for change in group[:NAMED]], NAMES) == len(group)


def whole(group: Sequence[Change], width: int, merges: Merges, shared: int = 0) -> Iterator[str]:
    """Devices that change alike, with every field. `shared`: how many more are told by lines that others share."""
    first = group[0]
    head = f"{colored(SYMBOLS[first.action])} {style(who(group), bold=True)}"
    pad = "" if first.fields else " " * (width - len(who(group)))
    yield head + pad + "".join(f"  {style(part, dim=True)}" for part in _notes(group)) + _shared(shared)
    if first.fields:
        names = max(len(dotted(field.path)) for field in first.fields)
        for field in first.fields:
            yield "    " + _field(field, names, first.source if len(group) == 1 else None, merges)
        yield ""


def brief(group: Sequence[Change], width: int, merges: Merges, shared: int = 0) -> str:
    """Devices that change alike, on one line: the fields that fit, or their number for an adoption."""
    first = group[0]
    whole = first.action in {Action.ADOPT, Action.REPLACE}
    told = fields_counted(len(first.fields)) if whole else _told(first.fields, merges)
    head = f"{colored(SYMBOLS[first.action])} {style(f'{who(group):<{width}}', bold=True)}"
    notes = "".join(f"  {style(part, dim=True)}" for part in _notes(group))
    return head + notes + (f"  {told}" if told else "") + _shared(shared)


def caused(cause: Cause, columns: tuple[int, int], merges: Merges) -> str:
    """One line that changes many devices: its place, the field, both values, and how many devices hold which."""
    place = style(f"{where(cause.source):<{columns[0]}}", bold=True)
    return f"{colored(SYMBOLS[cause.action])} {place}  {_path(cause.path):<{columns[1]}}  {_effect(cause, merges)}"


def columns(causes: Sequence[Cause]) -> tuple[int, int]:
    """The widths of places and paths; longer ones stick out."""
    return (
        min(VALUE, max(len(where(cause.source)) for cause in causes)),
        min(VALUE, max(len(_path(cause.path)) for cause in causes)),
    )


def _effect(cause: Cause, merges: Merges) -> str:
    fields = [field for _, field in cause.members]
    devices = f"on {len(fields):,} devices"
    if len(fields) <= FEW:
        devices += f": {', '.join(serial for serial, _ in cause.members)}"
    if any(field.sensitive for field in fields):
        text = _removed(cause.path, "(sensitive)", merges) if fields[0].after is ABSENT else "(sensitive)"
        return f"{text}  {devices}"
    befores = _counted(field.before for field in fields)
    held, shown = differing(befores[0][0], fields[0].after, limit=VALUE)
    afters = len({spelled(field.after) for field in fields})
    if afters > 1:
        text = f"→ {afters:,} different values"
        serial, first = cause.members[0]
        return f"{text}  on {len(fields):,} devices, such as {serial}: {value(first.after, limit=VALUE)}"
    if fields[0].after is ABSENT:
        return f"{_removed(cause.path, held, merges)}  {devices}{_held(befores)}"
    text = f"→ {shown}"
    if befores == [(ABSENT, len(fields))] and cause.action is Action.ADOPT:
        return f"{text}  {devices}"
    return f"{held} {text}  {devices}{_held(befores)}".lstrip()


def _counted(values: Iterable[Value]) -> list[tuple[Value, int]]:
    """Each value and how often it comes, the most frequent first."""
    different: dict[object, Value] = {}
    counts: Counter[object] = Counter()
    for item in values:
        key = spelled(item)
        different.setdefault(key, item)
        counts[key] += 1
    return [(different[key], number) for key, number in counts.most_common()]


def _held(befores: Sequence[tuple[Value, int]]) -> str:
    """How many devices hold which value; nothing if all hold the one that is shown anyway."""
    if len(befores) == 1:
        return " (not set before)" if befores[0][0] is ABSENT else ""
    parts = [
        f"{number:,} " + ("not set before" if held is ABSENT else f"from {value(held, limit=VALUE)}")
        for held, number in befores[:FEW]
    ]
    if others := befores[FEW:]:
        parts.append(f"{sum(number for _, number in others):,} from {len(others):,} other{'s' if others[1:] else ''}")
    return f" ({', '.join(parts)})"


def _removed(path: str, held: str, merges: Merges) -> str:
    return f"no longer managed; the devices keep {held}" if _stays(path, merges) else f"{held} → removed"


def _told(fields: Sequence[FieldChange], merges: Merges) -> str:
    """The fields that fit on a line, one at least, and how many do not."""
    texts = [f"{_path(field.path)} {_values(field, merges, VALUE)}" for field in fields]
    shown = texts[: _fitting(texts, NAMES)]
    left = len(texts) - len(shown)
    return ", ".join(shown) + (f", and {fields_counted(left)} more" if left else "")


def _fitting(texts: Sequence[str], limit: int) -> int:
    """How many of the first texts fit into `limit` characters; one at least, if there is one."""
    ends = accumulate(len(text) + 2 for text in texts)
    return max(sum(end <= limit + 2 for end in ends), min(1, len(texts)))


def _notes(group: Sequence[Change]) -> Iterator[str]:
    first = group[0]
    if len(group) == 1 and first.source:
        yield where(first.source)
    if first.replaces:
        yield f"in the place of {first.replaces}, which is {'decommissioned' if first.kept else 'forgotten'}"
    if first.action is Action.RELEASE:
        yield "no longer in the inventory: forgotten, nothing is sent"
    if first.action is Action.DECOMMISSION:
        again = ", with what had no answer" if first.unknown else ""
        once = f" once {first.waits_for} has what it should" if first.waits_for else ""
        yield f"no longer in the inventory: one last PUT{again}{once}, then kept"
    if first.action is Action.RESEND and first.unknown:
        yield "the last PUT had no trustworthy answer: sent again"
    if first.action is Action.RESEND and not first.unknown:
        yield "the server does not show what was sent: sent again"


def _shared(fields: int) -> str:
    return style(f"  and {fields_counted(fields)} that others share", dim=True) if fields else ""


def _field(field: FieldChange, width: int, device: Source | None, merges: Merges) -> str:
    symbol = "+" if field.before is ABSENT else "-" if field.after is ABSENT else "~"
    line = f"{colored(symbol)} {dotted(field.path):<{width}}  {_values(field, merges)}"
    if field.source and device:
        near = field.source.file == device.file
        line += style(f"  :{field.source.line}" if near else f"  {printable(str(field.source))}", dim=True)
    return line


def _values(field: FieldChange, merges: Merges, limit: int = 120) -> str:
    before, after = differing(field.before, field.after, limit=limit)
    if field.sensitive:
        before = after = "(sensitive)"
    if field.before is ABSENT:
        return after
    if field.after is not ABSENT:
        return f"{before} → {after}"
    return f"no longer managed; the device keeps {before}" if _stays(field.path, merges) else f"{before} → removed"


def _stays(path: str, merges: Merges) -> bool:
    """Whether the server keeps what is no longer declared: a whole field, or a key of an object sent key by key."""
    name, *inside = split(path)
    return not inside or merges(name)


def _path(path: str) -> str:
    text = dotted(path)
    return text if len(text) <= PATH else f"{text[: PATH // 2]} … {text[-(PATH // 2 - 3) :]}"

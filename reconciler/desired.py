"""Files -> DesiredState: where reading, resolving and validating meet."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from reconciler.config import Settings
from reconciler.conformance import check_settings, schema_at
from reconciler.errors import ConfigError, InventoryError, Usage
from reconciler.inventory import across, resolve
from reconciler.inventory import validate as fields
from reconciler.inventory.compile import Schema
from reconciler.inventory.document import MORE, Finding
from reconciler.inventory.files import display
from reconciler.inventory.locate import capped, locate, news
from reconciler.inventory.merge import ListRules
from reconciler.inventory.read import read
from reconciler.inventory.schema import packaged_path, packaged_schema, read_schema
from reconciler.inventory.veil import veiled
from reconciler.model import DesiredState, Json, Problem, Serial, Source
from reconciler.near import near
from reconciler.plan.marks import Marks, marks, misplaced
from reconciler.watch import SILENT, Watch

UNHIDE = "put it on the field itself, directly under `properties`"


@dataclass(frozen=True, slots=True)
class Validated:
    """What the inventory says. `desired` may only be used when `problems` is empty; `warnings` stop nothing.

    `files` declare devices, `layers` are the files above them: defaults of folders, and groups.
    """

    desired: DesiredState
    problems: tuple[Problem, ...]
    files: int
    warnings: tuple[Problem, ...] = ()
    layers: int = 0


def validate(
    settings: Settings, paths: Sequence[Path] = (), *, today: date | None = None, watch: Watch = SILENT
) -> Validated:
    """Read and check the inventory, or just `paths`: every problem of every file at once, in order of place.

    Overrides that ended before `today` (in UTC, unless given) count for nothing. A schema that marks secrets leaves the
    problems without text of the files: a secret may stand anywhere.
    """
    today = today or datetime.now(UTC).date()
    schema_path = settings.schema or packaged_path("device")
    schema_name = display(settings.root, schema_path)
    schema = schema_at(schema_path, schema_name)
    rules = marks(schema.document) if isinstance(schema, Schema) else Marks()
    lists = ListRules(rules.merged_sets, rules.merged_by)

    reading = read(settings.root, settings.inventory, paths or (settings.inventory,), watch)
    with watch.stage("resolve"):
        candidates, findings = resolve.resolve(
            reading.documents,
            defaults=reading.defaults,
            groups=reading.groups,
            rules=lists,
            today=today,
            known=None if paths or reading.problems else rules.known,
        )
    problems: Sequence[Problem] = list(reading.problems)
    where = fields.spots(lists, today)
    if isinstance(schema, Schema):
        check_settings(settings, schema.document)
        with watch.stage("validate", len(candidates), "devices") as advance:
            findings += fields.validate(candidates, schema, rules.sensitive, where)
            findings += across.repeated(candidates, rules.unique, where)
            findings += across.dangling(candidates, rules.references, where, rules.sensitive) if not paths else ()
            findings += across.swapped(candidates)
            advance(len(candidates))
        findings += [misplaced_word(schema_name, place, why) for place, why in misplaced(schema.document)]
    elif isinstance(schema, Finding):
        findings.append(schema)
    else:
        problems = [*problems, schema]

    files = {document.file: document for document in reading.all}
    problems, warnings = told(
        findings,
        problems,
        damaged={name: document.damaged for name, document in files.items()},
        paths={schema_name: schema_path} | {name: document.path for name, document in files.items()},
        shows_text=isinstance(schema, Schema) and not rules.secret,
    )
    return Validated(
        DesiredState(resolve.devices(candidates), today),
        problems,
        reading.files,
        warnings,
        len(reading.defaults) + len(reading.groups),
    )


def told(
    findings: Sequence[Finding],
    problems: Sequence[Problem],
    *,
    damaged: Mapping[str, frozenset[str]],
    paths: Mapping[str, Path | str],
    shows_text: bool,
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """`problems` and what of `findings` says something new, in order of place; then what they only warn of.

    `damaged` and `paths` are by the names of files. `shows_text`: lines of files may be shown. Devices that are
    declared twice come first of what counts, in whatever order they were found: not all who find them read all files.
    """
    findings = sorted(findings, key=lambda finding: finding.code not in {"RC307", "RC308"})
    findings = capped(news(findings, damaged))
    located = list(zip(locate(findings, paths), findings, strict=True))
    wrong = [*problems, *(problem for problem, finding in located if not finding.warning)]
    warnings = [problem for problem, finding in located if finding.warning]
    return _in_order(wrong, shows_text=shows_text), _in_order(warnings, shows_text=shows_text)


def editor_schemas(settings: Settings) -> dict[Path, dict[str, Json]]:
    """The schemas for editors, by the files that they belong into: beside the schema of devices that is the user's own.

    Where the user has none yet, the built-in one is among them. Raises InventoryError if it cannot be read.
    """
    from reconciler.inventory.editor_schemas import editor_schemas as schemas_for_editors

    path = settings.schema or settings.root / "schemas" / "device.schema.json"
    own = {} if settings.schema else {path: packaged_schema("device")}
    match read_schema(settings.schema or packaged_path("device"), display(settings.root, path)):
        case dict() as document:
            return own | {path.with_name(name): schema for name, schema in schemas_for_editors(document).items()}
        case Problem() as problem:
            raise InventoryError([problem])
        case _:
            raise ConfigError(f"{path} is not a JSON object; begin from the built-in schema")


def _in_order(problems: Sequence[Problem], *, shows_text: bool) -> tuple[Problem, ...]:
    def place(item: Problem) -> tuple[str, bool, int, int, str]:
        return item.source.file, item.code == MORE, item.source.line, item.source.column, item.code

    return tuple(sorted(problems if shows_text else map(veiled, problems), key=place))


def misplaced_word(schema_name: str, place: str, why: str) -> Finding:
    """What is wrong with a word of the schema that nothing comes of."""
    if place.endswith("/writeOnly"):
        return Finding("RC506", f"{why}: the secret would be shown", UNHIDE, schema_name, place)
    return Finding(
        "RC503", why, "put it on a field, directly under `properties`, as docs/inventory.md shows", schema_name, place
    )


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file that is to hold `text`, so that the device declared at `source` is another one."""

    file: Path
    source: Source
    text: str


def replacement(settings: Settings, old: str, new: str, *, applied: Container[str]) -> Replacement:
    """How the inventory declares the device `new` where it declares `old`, which that one replaces.

    Where `old` itself replaces a device, and only that one was `applied`, the new device replaces that one.
    Raises InventoryError for an inventory that is not valid as it is, and Usage if there is no such device, the new
    serial number is none or is declared already, or the old one is written in a way that cannot be changed in place.
    """
    from reconciler.inventory.replacing import replaced

    devices = desired_state(settings).devices
    device = devices.get(Serial(old))
    if device is None:
        meant = near(old, devices)
        hint = f"; did you mean {meant}?" if meant else ""
        raise Usage(f"the inventory declares no device {old}{hint}")
    if not resolve.SERIAL.fullmatch(new):
        raise Usage(f'{new!r} is no serial number; expected letters, digits, ".", "_" and "-", at most 128')
    other = next((item for serial, item in devices.items() if serial.casefold() == new.casefold()), None)
    if other is not None:
        raise Usage(f"{new} is declared already, at {other.source}")
    file = settings.root / device.source.file
    text = file.read_bytes().decode()
    try:
        first = device.replaces if device.replaces in applied and old not in applied else None
        changed = replaced(text, device.layers[-1].pointer, old, new, replaces=first or old)
    except ValueError:
        raise Usage(
            f"{device.source}: the serial number is written in a way that cannot be changed in place;"
            f' write it as "{new}" yourself, and add: $replaces: "{old}"'
        ) from None
    return Replacement(file, device.source, changed)


def desired_state(
    settings: Settings,
    today: date | None = None,
    warn: Callable[[Sequence[Problem]], None] = lambda _: None,
    watch: Watch = SILENT,
) -> DesiredState:
    """The whole inventory as of `today` (as in `validate`); `warn` gets its warnings. Raises InventoryError."""
    validated = validate(settings, today=today, watch=watch)
    if validated.problems:
        raise InventoryError(validated.problems)
    warn(validated.warnings)
    return validated.desired

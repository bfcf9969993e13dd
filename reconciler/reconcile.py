"""Where the stages meet: read → resolve → validate → diff → guard → plan → execute → record → report."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from reconciler.apply import drafts
from reconciler.apply.judge import Task
from reconciler.apply.pace import settled_at
from reconciler.config import Settings
from reconciler.errors import (
    ConfigError,
    InventoryError,
    LeaseLost,
    LineageMismatch,
    Locked,
    Refused,
    StalePlan,
    StateError,
)
from reconciler.inventory import across, resolve
from reconciler.inventory import validate as fields
from reconciler.inventory.commit import commit_of
from reconciler.inventory.compile import Schema, compiled
from reconciler.inventory.document import Finding
from reconciler.inventory.files import display
from reconciler.inventory.locate import locate, news
from reconciler.inventory.merge import ListRules
from reconciler.inventory.origin import origin
from reconciler.inventory.read import field_sources, read
from reconciler.inventory.schema import packaged_path, read_schema
from reconciler.model import (
    Change,
    DesiredState,
    Device,
    Draft,
    Outcome,
    Plan,
    Problem,
    Refusal,
    Serial,
    Snapshot,
)
from reconciler.plan.body import body, removed_keys
from reconciler.plan.diff import diff, standing
from reconciler.plan.guard import guard
from reconciler.plan.manage import parted
from reconciler.plan.marks import Marks, marks, misplaced
from reconciler.plan.places import Origin, placed, wanted
from reconciler.plan.plan_file import digest
from reconciler.plan.secrets import bare, filled
from reconciler.plan.settle import settle
from reconciler.plan.target import target
from reconciler.pointer import patched
from reconciler.state.holder import this_process
from reconciler.state.lease import hold
from reconciler.state.open import check_lineage, open_state
from reconciler.state.recovery import to_json
from reconciler.timestamp import stamp

if TYPE_CHECKING:
    from reconciler.apply.device_api import DeviceApi
    from reconciler.apply.run import Run


UNHIDE = "put it on the field itself, directly under `properties`"


@dataclass(frozen=True, slots=True)
class Validated:
    """What the inventory says. `desired` may only be used when `problems` is empty; `warnings` stop nothing."""

    desired: DesiredState
    problems: tuple[Problem, ...]
    files: int
    warnings: tuple[Problem, ...] = ()


def validate(settings: Settings, paths: Sequence[Path] = (), *, today: date | None = None) -> Validated:
    """Read and check the inventory, or just `paths`: every problem of every file at once, in order of place.

    Overrides that ended before `today` (in UTC, unless given) count for nothing. A schema that marks secrets leaves the
    problems without source lines: a secret may stand on any of them.
    """
    today = today or datetime.now(UTC).date()
    schema_path = settings.schema or packaged_path("device")
    schema_name = display(settings.root, schema_path)
    document = read_schema(schema_path, schema_name)
    schema = document if isinstance(document, Problem) else compiled(document, schema_name)
    rules = marks(schema.document) if isinstance(schema, Schema) else Marks()
    lists = ListRules(rules.merged_sets, rules.merged_by)

    reading = read(settings.root, settings.inventory, paths or (settings.inventory,))
    candidates, findings = resolve.resolve(
        reading.documents,
        defaults=reading.defaults,
        groups=reading.groups,
        rules=lists,
        today=today,
        known=None if paths else rules.known,
    )
    problems = list(reading.problems)
    where = fields.spots(lists, today)
    if isinstance(schema, Schema):
        findings += fields.validate(candidates, schema, rules.sensitive, where)
        findings += across.repeated(candidates, rules.unique, where)
        findings += across.dangling(candidates, rules.references, where) if not paths else ()
        findings += [_misplaced(schema_name, place, why) for place, why in misplaced(schema.document)]
    elif isinstance(schema, Finding):
        findings.append(schema)
    else:
        problems.append(schema)

    files = {document.file: document for document in reading.all}
    findings = news(findings, {name: document.damaged for name, document in files.items()})
    located = locate(findings, {schema_name: schema_path} | {name: document.path for name, document in files.items()})
    warnings = [problem for problem, finding in zip(located, findings, strict=True) if finding.warning]
    problems += [problem for problem, finding in zip(located, findings, strict=True) if not finding.warning]
    shows_lines = isinstance(schema, Schema) and not rules.secret
    return Validated(
        DesiredState(resolve.devices(candidates), today),
        _in_order(problems, shows_lines=shows_lines),
        reading.files,
        _in_order(warnings, shows_lines=shows_lines),
    )


def _in_order(problems: Sequence[Problem], *, shows_lines: bool) -> tuple[Problem, ...]:
    shown = problems if shows_lines else [replace(problem, excerpt="") for problem in problems]
    return tuple(sorted(shown, key=lambda item: (item.source.file, item.source.line, item.source.column, item.code)))


def _misplaced(schema_name: str, place: str, why: str) -> Finding:
    if place.endswith("/writeOnly"):
        return Finding("RC506", f"{why}: the secret would be shown", UNHIDE, schema_name, place)
    return Finding(
        "RC503", why, "put it on a field, directly under `properties`, as docs/inventory.md shows", schema_name, place
    )


def plan(
    settings: Settings,
    *,
    today: date | None = None,
    targets: Sequence[str] = (),
    resend: bool = False,
    warn: Callable[[Sequence[Problem]], None] = lambda _: None,
) -> Plan:
    """What apply would change as of `today` (as in `validate`). Needs no lease, no token and no network.

    Raises InventoryError, StateError, and Usage for a target that matches nothing.
    """
    desired, rules = _desired(settings, today, warn), _rules(settings)
    where = _origin(desired.today)
    with closing(open_state(settings.state, settings.root)) as backend:
        snapshot = backend.read()
    check_lineage(snapshot, settings.lineage, settings.state)
    ours, theirs = target(desired, snapshot, targets)

    def changed(ours: DesiredState, theirs: Snapshot) -> tuple[Change, ...]:
        changes = diff(
            ours, theirs, marks=rules, removed=settings.on_removed.field, merged=settings.api.merges, resend=resend
        )
        asked = wanted(changes, ours, where)
        places = {file: field_sources(settings.root / file, file, pointers) for file, pointers in asked.items()}
        return placed(changes, ours, places, where)

    managed, held = parted(ours, theirs)
    changes, observed = changed(*managed), changed(*held)
    devices = managed[0].devices.keys() | held[0].devices.keys()
    return Plan(
        lineage=snapshot.lineage,
        revision=snapshot.revision,
        changes=changes,
        unchanged=len(devices - {change.serial for change in (*changes, *observed)}),
        refusals=_refusals(settings, changes, snapshot),
        standing=standing(managed[1], changes),
        targets=tuple(targets),
        digest=digest(changes),
        nested=settings.api.nested,
        observed=observed,
        paused=tuple(sorted(serial for serial, device in ours.devices.items() if device.manage == "pause")),
    )


def _origin(today: date) -> Origin:
    def found(device: Device, path: str) -> tuple[str, str] | None:
        said = origin(device.layers, path, today)
        return (said.layer.file, said.pointer) if said else None

    return found


def apply(
    settings: Settings,
    agreed: Plan,
    environ: Mapping[str, str],
    *,
    allowed: Sequence[str] = (),
    lock_timeout: float = 10.0,
    max_duration: float | None = None,
    waiting: Callable[[Locked], None] = lambda _: None,
    progress: Callable[[Outcome], None] = lambda _: None,
    trace: Callable[[str], None] = lambda _: None,
) -> "Run":
    """Bring the devices of a plan where it leads; what became of each is in the Run, whatever happened.

    Raises, before anything is sent: AuthenticationError without a token, Locked, StalePlan if a device stands at
    neither end of its change, and Refused if a guard that is not `allowed` says no.
    """
    from reconciler.apply.run import Run, Tempo, carry_out

    api = _api(settings, environ)
    began, started, run_id = time.monotonic(), stamp(time.time()), uuid4().hex[:12]
    holder = this_process(environ)
    with ExitStack() as stack:
        backend = stack.enter_context(closing(open_state(settings.state, settings.root)))
        _check_lineage(settings, agreed, backend.read())
        held = stack.enter_context(hold(backend, holder, timeout=lock_timeout, waiting=waiting))
        snapshot = backend.read()
        done, tasks = _tasks(settings, agreed, snapshot, allowed)
        commit = commit_of(settings.root, environ)

        def append(entries: Sequence[Draft]) -> None:
            try:
                backend.append(held.lease, entries)
            except ValueError as error:
                raise StateError(f"what a server answered cannot be recorded: {error}") from error

        append(
            [
                drafts.began(
                    agreed, holder, commit=commit, server=settings.api.server, allowed=allowed, run=run_id, at=started
                )
            ]
        )
        carried = carry_out(
            tasks,
            run_id=run_id,
            api=api,
            append=append,
            may_send=lambda: not held.lost,
            tempo=Tempo(**{item.name: getattr(settings.api, item.name) for item in fields_of(Tempo)}),
            max_duration=max_duration,
            progress=progress,
            trace=trace,
        )
        lost = carried.unrecorded
        recovery = to_json(lost, lineage=snapshot.lineage, run=run_id) if lost else None
        run = Run(run_id, agreed, carried.outcomes, done, carried.error, started, time.monotonic() - began, recovery)
        with suppress(StateError, LeaseLost):
            append([drafts.ended(run.outcomes, run.exit_code, run=run_id, at=stamp(time.time()))])
    return run


def _check_lineage(settings: Settings, agreed: Plan, snapshot: Snapshot) -> None:
    """Before a lease is taken, which would begin a new state where there is none."""
    if agreed.nested != settings.api.nested:
        raise StalePlan("api.nested is not what this plan was made with; nothing was sent; plan again", ())
    check_lineage(snapshot, settings.lineage, settings.state)
    if agreed.lineage and agreed.lineage != snapshot.lineage:
        found = f"is of lineage {snapshot.lineage}" if snapshot.lineage else "does not exist"
        raise LineageMismatch(
            f"this plan was made from a state of lineage {agreed.lineage}, and {settings.state} {found};"
            " nothing was sent; name the right state, or plan again"
        )


def _refusals(settings: Settings, changes: Sequence[Change], snapshot: Snapshot) -> tuple[Refusal, ...]:
    limits = settings.guard
    return guard(
        changes,
        snapshot.devices,
        max_changed_pct=limits.max_changed_pct,
        max_released_pct=limits.max_released_pct,
        floor=limits.floor,
        protected=limits.protected,
        removed=settings.on_removed.field,
        servers=(snapshot.server, settings.api.server),
    )


def _tasks(
    settings: Settings, agreed: Plan, snapshot: Snapshot, allowed: Sequence[str]
) -> tuple[tuple[Serial, ...], list[Task]]:
    """For which devices a plan is done already, and what is still to do. Raises StalePlan and Refused."""
    rules = _rules(settings)
    changes = agreed.changes
    if serials := bare(changes):
        changes = filled(changes, serials, _desired(settings).devices, snapshot.devices)
    settled = settle(changes, snapshot.devices, marks=rules, merged=settings.api.merges)
    if settled.stale:
        raise StalePlan(
            f"{', '.join(settled.stale[:50])} moved since this plan was made; nothing was sent; plan again",
            settled.stale,
        )
    refusals = [item for item in _refusals(settings, settled.todo, snapshot) if item.rule not in allowed]
    if refusals:
        raise Refused(refusals)
    tasks = [_task(settings, change, snapshot, rules) for change in settled.todo]
    return settled.done, sorted(tasks, key=lambda task: task.not_before)


def _task(settings: Settings, change: Change, snapshot: Snapshot, rules: Marks) -> Task:
    state = snapshot.devices.get(change.serial)
    sent = body(change, state.fields if state else {}, merged=settings.api.merges)
    held = patched(state.fields if state else {}, [(field.path, field.after) for field in change.fields])
    return Task(
        change,
        sent,
        expected={name: held[name] for name in sent if name in held},
        removed=removed_keys(change, merged=settings.api.merges),
        set_like=rules.set_like,
        secret=rules.secret,
        not_before=settled_at(state.unknown, sent, now=time.time(), timeout=settings.api.timeout) if state else 0.0,
    )


def _desired(
    settings: Settings,
    today: date | None = None,
    warn: Callable[[Sequence[Problem]], None] = lambda _: None,
) -> DesiredState:
    validated = validate(settings, today=today)
    if validated.problems:
        raise InventoryError(validated.problems)
    warn(validated.warnings)
    return validated.desired


def _rules(settings: Settings) -> Marks:
    path = settings.schema or packaged_path("device")
    match read_schema(path, display(settings.root, path)):
        case dict() as document:
            return marks(document)
        case Problem() as problem:
            raise InventoryError([problem])
        case _:
            return Marks()


def _api(settings: Settings, environ: Mapping[str, str]) -> Callable[[], "DeviceApi"]:
    from reconciler.apply.device_api import DeviceApi
    from reconciler.apply.token import find_token

    api = settings.api
    if not api.base_url:
        raise ConfigError("no API to apply to; set api.base_url in the configuration, or RECONCILER_BASE_URL")
    token = find_token(environ, command=api.token_command, root=settings.root)
    return lambda: DeviceApi(
        api.base_url,
        token,
        route=api.route,
        auth_scheme=api.auth_scheme,
        body=api.body,
        timeout=api.timeout,
        concurrency=api.concurrency,
    )

"""Where the stages meet: read → resolve → validate → diff → guard → plan → execute → record → report."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
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
from reconciler.inventory import resolve
from reconciler.inventory import validate as fields
from reconciler.inventory.commit import commit_of
from reconciler.inventory.compile import Schema, compiled
from reconciler.inventory.document import Finding
from reconciler.inventory.locate import locate, news
from reconciler.inventory.read import display, field_sources, read
from reconciler.inventory.schema import packaged_path, read_schema
from reconciler.model import (
    Change,
    DesiredState,
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
from reconciler.plan.marks import Marks, marks, misplaced
from reconciler.plan.places import placed, wanted
from reconciler.plan.plan_file import digest
from reconciler.plan.secrets import bare, filled
from reconciler.plan.settle import settle
from reconciler.plan.target import target
from reconciler.pointer import patched
from reconciler.state.holder import this_process
from reconciler.state.lease import hold
from reconciler.state.open import Note, check_lineage, open_state
from reconciler.state.recovery import to_json
from reconciler.timestamp import stamp

if TYPE_CHECKING:
    from reconciler.apply.device_api import DeviceApi
    from reconciler.apply.run import Run


HIDDEN = "this `writeOnly` cannot be followed: the secret would be shown"
UNHIDE = "put it on the field itself, directly under `properties`"


@dataclass(frozen=True, slots=True)
class Validated:
    """What the inventory says. `desired` may only be used when `problems` is empty."""

    desired: DesiredState
    problems: tuple[Problem, ...]
    files: int


def validate(settings: Settings, paths: Sequence[Path] = ()) -> Validated:
    """Read and check the inventory, or just `paths`: every problem of every file at once, in order of place.

    A schema that marks secrets leaves the problems without source lines: a secret may stand on any of them.
    """
    reading = read(settings.root, paths or (settings.inventory,))
    candidates, findings = resolve.resolve(reading.documents)
    problems = list(reading.problems)

    shows_lines = False
    schema_path = settings.schema or packaged_path("device")
    schema_name = display(settings.root, schema_path)
    document = read_schema(schema_path, schema_name)
    if isinstance(document, Problem):
        problems.append(document)
    else:
        schema = compiled(document, schema_name)
        if isinstance(schema, Schema):
            secrets = marks(schema.document)
            shows_lines = not secrets.secret
            findings += fields.validate(candidates, schema, secrets.sensitive)
            findings += [Finding("RC506", HIDDEN, UNHIDE, schema_name, place) for place in misplaced(schema.document)]
        else:
            findings.append(schema)

    files = {document.file: document for document in reading.documents}
    findings = news(findings, {name: document.damaged for name, document in files.items()})
    problems += locate(findings, {schema_name: schema_path} | {name: document.path for name, document in files.items()})
    if not shows_lines:
        problems = [replace(problem, excerpt="") for problem in problems]
    problems.sort(key=lambda problem: (problem.source.file, problem.source.line, problem.source.column, problem.code))
    return Validated(DesiredState(resolve.devices(candidates)), tuple(problems), reading.files)


def plan(settings: Settings, *, targets: Sequence[str] = (), resend: bool = False, note: Note | None = None) -> Plan:
    """What apply would change. Takes no lease, and needs no token; the network only for a state that is kept there.

    `note` is told if such a state cannot be reached and is read as last fetched.
    Raises InventoryError, StateError, and Usage for a target that matches nothing.
    """
    desired, rules = _desired(settings), _rules(settings)
    with closing(open_state(settings.state, settings.root, note=note)) as backend:
        snapshot = backend.read()
    check_lineage(snapshot, settings.lineage, settings.state)
    ours, theirs = target(desired, snapshot, targets)
    changes = diff(
        ours, theirs, marks=rules, removed=settings.on_removed.field, merged=settings.api.merges, resend=resend
    )
    asked = wanted(changes, ours)
    places = {file: field_sources(settings.root / file, file, pointers) for file, pointers in asked.items()}
    return Plan(
        lineage=snapshot.lineage,
        revision=snapshot.revision,
        changes=placed(changes, ours, places),
        unchanged=len(ours.devices.keys() - {change.serial for change in changes}),
        refusals=_refusals(settings, changes, snapshot),
        standing=standing(theirs, changes),
        targets=tuple(targets),
        digest=digest(changes),
        nested=settings.api.nested,
    )


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

        server = settings.api.server
        append([drafts.began(agreed, holder, commit=commit, server=server, allowed=allowed, run=run_id, at=started)])
        carried = carry_out(
            tasks,
            run_id=run_id,
            api=api,
            append=append,
            may_send=lambda: not held.lost,
            tempo=Tempo(**{item.name: getattr(settings.api, item.name) for item in fields_of(Tempo)}),
            rhythm=backend.rhythm(),
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


def _desired(settings: Settings) -> DesiredState:
    validated = validate(settings)
    if validated.problems:
        raise InventoryError(validated.problems)
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

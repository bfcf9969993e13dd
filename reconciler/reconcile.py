"""Where the stages meet: read → resolve → validate → diff → guard → plan → execute → record → report."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.config import Settings
from reconciler.desired import Validated, validate
from reconciler.errors import (
    ConfigError,
    LeaseLost,
    StateError,
)
from reconciler.fleet.parts import Scope
from reconciler.fleet.sweep import Inquiry, Swept, sweep
from reconciler.model import (
    Applied,
    Draft,
    Outcome,
    Plan,
    Problem,
)
from reconciler.state.backend import Backend, Head
from reconciler.state.open import Note, check_lineage, open_state
from reconciler.timestamp import stamp
from reconciler.todo import check_agreed, guarded, todo
from reconciler.watch import SILENT, Watch

if TYPE_CHECKING:
    from reconciler.apply.device_api import DeviceApi
    from reconciler.apply.run import Run

__all__ = ["Validated", "apply", "plan", "validate"]


def plan(
    settings: Settings,
    *,
    targets: Sequence[str] = (),
    resend: bool = False,
    clock: Callable[[], float] = time.time,
    warn: Callable[[Sequence[Problem]], None] = lambda _: None,
    note: Note | None = None,
    beside: Note = lambda _: None,
    trace: Note = lambda _: None,
    watch: Watch = SILENT,
) -> Plan:
    """What apply would change. Takes no lease, and needs no token; the network only for a state that is kept there.

    Guards and leases are of the moment that `clock` tells (UNIX seconds), overrides of its day. `warn` gets what the
    inventory only warns of; `note` is told if a state cannot be reached and is read as last fetched, `beside` that none
    is there, or who writes to it meanwhile, and `trace` why every file is read. Raises InventoryError, StateError,
    ConfigError, and Usage for a target that matches nothing.
    """
    moment = clock()
    today = datetime.fromtimestamp(moment, UTC).date()
    with closing(open_state(settings.state, settings.root, note=note)) as backend:

        def check(head: Head) -> None:
            check_lineage(head, settings.lineage, settings.state)

        run = Inquiry(Scope(settings, today, time.time_ns(), watch, trace, resend), backend, check)
        if targets:
            from reconciler.fleet.chosen import chosen

            found = chosen(run, targets)
        else:
            found = sweep(run)
    warn(found.warnings)
    if not found.head.lineage:
        beside(f"There is no state at {settings.state} yet: every device is new to it.")
    if found.lease:
        from reconciler.state.lease import held_by, is_live

        if is_live(found.lease, moment):
            whom = held_by(found.lease, moment)
            beside(f"The state is written to by {whom}; what is under way there is shown as to be sent again.")
    with watch.stage("guard"):
        return planned(settings, found, targets, moment)


def planned(settings: Settings, found: Swept, targets: Sequence[str], moment: float) -> Plan:
    """The plan that does what was found, as the guards judge it at that moment (UNIX seconds)."""
    return Plan(
        lineage=found.head.lineage,
        revision=found.head.revision,
        changes=found.changes,
        unchanged=found.unchanged,
        guards=guarded(settings, found.changes, found.known, found.total, server=found.head.server, moment=moment),
        standing=found.standing,
        targets=tuple(targets),
        digest=found.digest,
        nested=settings.api.nested,
        observed=found.observed,
        paused=found.paused,
    )


def apply(
    settings: Settings,
    agreed: Plan,
    environ: Mapping[str, str],
    *,
    allowed: Sequence[str] = (),
    lock_timeout: float | None = None,
    max_duration: float | None = None,
    clock: Callable[[], float] = time.time,
    trace: Callable[[str], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    admit: Callable[[Backend], None] = lambda _: None,
    watch: Watch = SILENT,
) -> "Run":
    """Bring the devices of a plan where it leads; what became of each is in the Run, whatever happened.

    Raises, before anything is sent: AuthenticationError without a token, Locked, StalePlan if a device stands at
    neither end of its change, PlanFileError if one would get what the schema does not take, and Refused if a guard that
    is not `allowed` says no to what is still to do. The guards look at the moment that `clock` tells (UNIX
    seconds) once we hold the state, and `admit` looks at the state, and may raise. A run that has begun is finished;
    whoever interrupts what is written down after it gets the Run all the same.
    """
    from uuid import uuid4

    from reconciler.apply import drafts
    from reconciler.apply.pace import Tempo
    from reconciler.apply.run import Run, carry_out
    from reconciler.bookkeeping import held_by_us
    from reconciler.inventory.commit import commit_of
    from reconciler.state.holder import this_process
    from reconciler.state.recovery import to_json

    api = _api(settings, environ)
    began, started, run_id = time.monotonic(), stamp(time.time()), uuid4().hex[:12]
    holder = this_process(environ)
    run: Run | None = None
    try:
        with ExitStack() as stack:
            with watch.stage("state"):
                backend = stack.enter_context(closing(open_state(settings.state, settings.root)))
                check_agreed(settings, agreed, backend.head())
                held = stack.enter_context(held_by_us(backend, holder, environ, lock_timeout, say))
                snapshot = backend.read()
            with watch.stage("guard"):
                admit(backend)
                done, tasks = todo(settings, agreed, snapshot, allowed, clock())
            commit = commit_of(settings.root, environ)

            def append(entries: Sequence[Draft]) -> None:
                try:
                    backend.append(held.lease, entries)
                except ValueError as error:
                    raise StateError(f"what a server answered cannot be recorded: {error}") from error

            server = settings.api.server
            append(
                [drafts.began(agreed, holder, commit=commit, server=server, allowed=allowed, run=run_id, at=started)]
            )
            with watch.stage("apply", len(tasks), "devices") as advance:

                def told(outcome: Outcome) -> None:
                    advance(1)
                    if not isinstance(outcome, Applied):
                        watch.count("not applied")

                carried = carry_out(
                    tasks,
                    run_id=run_id,
                    api=api,
                    append=append,
                    may_send=lambda: not held.lost,
                    tempo=Tempo(**{item.name: getattr(settings.api, item.name) for item in fields_of(Tempo)}),
                    rhythm=backend.rhythm(),
                    max_duration=max_duration,
                    progress=told,
                    retried=lambda: watch.count("retried"),
                    trace=trace,
                    say=say,
                )
            lost = carried.unrecorded
            recovery = to_json(lost, lineage=snapshot.lineage, run=run_id) if lost else None
            run = Run(
                run_id, agreed, carried.outcomes, done, carried.error, started, time.monotonic() - began, recovery
            )
            with suppress(StateError, LeaseLost):
                append([drafts.ended(run.outcomes, run.exit_code, run=run_id, at=stamp(time.time()))])
    except KeyboardInterrupt:
        if run is None:
            raise
    return run


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
        connect_timeout=api.connect_timeout,
        proxy=api.proxy,
        max_answer_bytes=api.max_answer_bytes,
        concurrency=api.concurrency,
    )

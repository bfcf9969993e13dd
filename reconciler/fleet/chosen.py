"""The part of a fleet that `--target` names: by what devices hold, so that all of them have to be looked at."""

from collections.abc import Mapping, Sequence

from reconciler.brief import Spot
from reconciler.conformance import marked, refuse_removals
from reconciler.desired import desired_state
from reconciler.fleet.compare import compared
from reconciler.fleet.sweep import Inquiry, Swept
from reconciler.inventory.document import Place
from reconciler.inventory.origin import Statement, origin
from reconciler.inventory.read import look_closer
from reconciler.model import Device, Problem
from reconciler.plan.plan_file import digest
from reconciler.plan.target import target
from reconciler.state.backend import Head


def chosen(run: Inquiry, targets: Sequence[str]) -> Swept:
    """As `sweep`, for the devices that a target matches. Raises Usage for a target that matches none."""
    scope = run.scope
    settings = scope.settings
    warnings: list[Problem] = []
    desired, rules = desired_state(settings, scope.today, warnings.extend, scope.watch), marked(settings)
    with scope.watch.stage("state"):
        snapshot = run.backend.read()
        head = Head(snapshot.lineage, snapshot.revision, server=snapshot.server)
        run.check(head)
    ours, theirs = target(desired, snapshot, targets)
    known: dict[str, Mapping[str, Place]] = {}

    def place(said: Statement | None) -> Spot:
        if said is None:
            return None
        file = said.layer.file
        if file not in known:
            known[file] = look_closer(settings.root / file, file).values
        found = known[file].get(said.pointer)
        return (file, *found) if found else None

    def where(device: Device, paths: Sequence[str]) -> tuple[Sequence[Spot], Sequence[bool]]:
        said = [origin(device.layers, path, scope.today) for path in paths]
        return [*map(place, said)], [item is not None and item.layer is device.layers[-1] for item in said]

    with scope.watch.stage("diff"):
        found = compared(settings, rules, ours, theirs, where, resend=scope.resend)
    refuse_removals(settings, found.irremovable)
    serials = {change.serial for change in (*found.changes, *found.observed)}
    return Swept(
        head,
        run.backend.lease(),
        snapshot.devices,
        len(snapshot.devices),
        found.changes,
        found.observed,
        tuple(found.standing),
        tuple(found.paused),
        unchanged=len(ours.devices.keys() - serials) - len(found.paused),
        digest=digest(found.changes),
        warnings=tuple(warnings),
    )

"""Some devices, as desired and as applied -> what a plan does about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from reconciler.brief import Columns, Fields, Spot, columns
from reconciler.config import Settings
from reconciler.conformance import irremovable
from reconciler.inventory.document import Finding
from reconciler.model import Change, DesiredState, Device, Serial, Snapshot, Standing
from reconciler.plan.diff import diff, standing
from reconciler.plan.manage import parted
from reconciler.plan.marks import Marks

Where = Callable[[Device, Sequence[str]], tuple[Sequence[Spot], Sequence[bool]]]
"""Where each value of a device, or its absence, is decided; and whether for this device alone. Values by pointer."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Changes, those that would be made to devices that are only observed, and what else a plan tells: in serial order.

    `irremovable` is what the schema does not let go.
    """

    changes: Sequence[Change]
    observed: Sequence[Change]
    standing: Sequence[Standing]
    paused: Sequence[Serial]
    irremovable: Sequence[tuple[Serial, Finding]]


def compared(
    settings: Settings, rules: Marks, ours: DesiredState, theirs: Snapshot, where: Where, *, resend: bool
) -> Compared:
    """What brings `theirs` to `ours`. The law: for a fleet in parts, the parts of this together are that of the fleet.

    As long as a device is in one part with its state, and with the device that it replaces.
    """
    wrong: list[tuple[Serial, Finding]] = []

    def changed(ours: DesiredState, theirs: Snapshot) -> tuple[Change, ...]:
        changes = diff(
            ours,
            theirs,
            marks=rules,
            removed=settings.on_removed.field,
            merged=settings.api.merges,
            resend=resend,
            decommission=settings.on_removed.decommission,
        )
        wrong.extend(irremovable(settings, changes, ours.devices, theirs.devices))
        return tuple(
            _placed(change, device, where) if (device := ours.devices.get(change.serial)) else change
            for change in changes
        )

    managed, held = parted(ours, theirs)
    changes, observed = changed(*managed), changed(*held)
    paused = sorted(serial for serial, device in ours.devices.items() if device.manage == "pause")
    return Compared(changes, observed, standing(managed[1], changes), paused, wrong)


def _placed(change: Change, device: Device, where: Where) -> Change:
    """The change with the places of its fields, where there are any."""
    paths, found = columns(change.fields)
    spots, own = where(device, paths)
    placed = Columns(found.before, found.after, spots, found.sensitive, own)
    return replace(change, fields=Fields(paths, lambda: placed))

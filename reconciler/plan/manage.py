"""`$manage`: devices that a plan only looks at, or leaves alone."""

from dataclasses import replace

from reconciler.model import DesiredState, Manage, Serial, Snapshot

Sides = tuple[DesiredState, Snapshot]


def parted(desired: DesiredState, snapshot: Snapshot) -> tuple[Sides, Sides]:
    """Both sides of the devices that are managed, then of those that are observed. The paused are in neither.

    A device that left the inventory is managed, for nobody says otherwise any more; unless it is to be replaced by one
    that is not.
    """
    held = {serial: device for serial, device in desired.devices.items() if device.manage != "apply"}
    if not held:
        return (desired, snapshot), (DesiredState({}), Snapshot())
    ways: dict[Serial, Manage] = {
        old: device.manage for device in held.values() if (old := device.replaces) and old not in desired.devices
    }
    ways |= {serial: device.manage for serial, device in held.items()}

    def side(way: Manage) -> Sides:
        def chosen(serial: Serial) -> bool:
            return ways.get(serial, "apply") == way

        return (
            replace(desired, devices={serial: it for serial, it in desired.devices.items() if chosen(serial)}),
            replace(snapshot, devices={serial: it for serial, it in snapshot.devices.items() if chosen(serial)}),
        )

    return side("apply"), side("observe")

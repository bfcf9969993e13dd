"""What becomes of a device that left the inventory, where the settings ask for more than to forget it. Pure."""

from collections.abc import Mapping

from reconciler.model import DeviceState, Json
from reconciler.pointer import patched


def asked(state: DeviceState) -> dict[str, Json]:
    """The fields that the last PUT was to bring about, answered or not."""
    sent = state.unknown.fields if state.unknown else ()
    return patched(state.fields, [(field.path, field.after) for field in sent])


def retired(state: DeviceState, patch: Mapping[str, Json]) -> dict[str, Json]:
    """The fields of a decommissioned device: what it was last asked to hold, and `patch` over it.

    So a device that holds the patch needs nothing any more, and one whose last PUT has no answer is sent that again.
    """
    return {**asked(state), **patch}

"""Small fleets to plan with, and JSON values to try everything on."""

from collections.abc import Mapping

from hypothesis import strategies as st

from reconciler.model import (
    ABSENT,
    Change,
    DesiredState,
    Device,
    DeviceState,
    FieldChange,
    Intent,
    Json,
    Serial,
    Snapshot,
    Source,
)
from reconciler.pointer import join

AP = Serial("AP-0001")
LAPTOP = Serial("ABC123456789")
PLACE = Source("inventory/lobby.yaml", 3)

Fleet = Mapping[str, Mapping[str, Json]]


def desired(fleet: Fleet) -> DesiredState:
    return DesiredState({Serial(serial): Device(Serial(serial), fields, PLACE) for serial, fields in fleet.items()})


def applied(fleet: Fleet) -> Snapshot:
    return Snapshot("lineage", 7, {Serial(serial): DeviceState(fields) for serial, fields in fleet.items()})


def unanswered(fields: Mapping[str, Json], body: Mapping[str, Json]) -> Snapshot:
    """One access point, confirmed at `fields`, whose last PUT of `body` has no answer."""
    sent = tuple(FieldChange(join(name), fields.get(name, ABSENT), value) for name, value in body.items())
    return Snapshot("lineage", 7, {AP: DeviceState(fields, unknown=Intent(body, sent))})


def after(change: Change) -> list[tuple[str, object, object]]:
    return [(field.path, field.before, field.after) for field in change.fields]


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    ["a", "b", "a/b", "~", "__x", "1"]
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
fields: st.SearchStrategy[dict[str, Json]] = st.dictionaries(keys, values, max_size=4)
fleets: st.SearchStrategy[dict[str, dict[str, Json]]] = st.dictionaries(
    st.sampled_from(["A", "B", "C", "D"]), fields, max_size=4
)

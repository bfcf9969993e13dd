import json

import pytest

from reconciler.change_json import divergence_from_json, divergence_to_json, field_from_json, field_to_json
from reconciler.model import ABSENT, Divergence, FieldChange, Json, Source

PLACE = Source("inventory/lobby.yaml", 12, 9)


@pytest.mark.parametrize(
    ("change", "spelling"),
    [
        (FieldChange("/a", ABSENT, None), {"path": "/a", "after": None}),
        (FieldChange("/a", None, ABSENT), {"path": "/a", "before": None}),
        (FieldChange("/a", 1, 1.5, sensitive=True), {"path": "/a", "before": 1, "after": 1.5, "sensitive": True}),
        (
            FieldChange("/a~1b", ABSENT, {"c": []}, PLACE),
            {
                "path": "/a~1b",
                "after": {"c": []},
                "source": {"file": "inventory/lobby.yaml", "line": 12, "column": 9},
            },
        ),
    ],
)
def test_a_field_change_is_spelled_with_missing_keys_for_absent_values(
    change: FieldChange, spelling: dict[str, Json]
) -> None:
    assert field_to_json(change) == spelling
    assert field_from_json(json.loads(json.dumps(spelling))) == change


@pytest.mark.parametrize("value", [Divergence("/a", ABSENT, None), Divergence("/a", 1, ABSENT)])
def test_a_divergence_round_trips(value: Divergence) -> None:
    assert divergence_from_json(divergence_to_json(value)) == value


@pytest.mark.parametrize("item", [None, 1, [], {}, {"path": 1}, {"path": "/a", "source": {"file": "x", "line": "1"}}])
def test_anything_else_is_not_a_field_change(item: Json) -> None:
    with pytest.raises(ValueError, match=r"expected an object|not a place"):
        field_from_json(item)

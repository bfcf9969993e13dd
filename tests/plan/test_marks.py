import pytest

from reconciler.inventory.schema import packaged_schema
from reconciler.model import Json
from reconciler.plan.marks import marks, misplaced


def test_marks_are_found_at_any_depth_of_properties() -> None:
    found = marks(
        {
            "properties": {
                "tags": {"uniqueItems": True},
                "wifi": {"properties": {"psk": {"writeOnly": True}, "bands": {"uniqueItems": True}, "a/b": True}},
            }
        }
    )

    assert found.set_like == {"/tags", "/wifi/bands"}
    assert found.secret == {"/wifi/psk"}


def test_a_value_is_sensitive_if_it_is_holds_or_is_part_of_a_secret() -> None:
    found = marks({"properties": {"wifi": {"properties": {"psk": {"writeOnly": True}}}}})

    assert [found.sensitive(path) for path in ("/wifi/psk", "/wifi", "/wifi/psk/0", "/wifi/pskx", "/w")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_the_tags_of_our_own_schema_are_a_set() -> None:
    assert marks(packaged_schema("device")).set_like == {"/tags"}


@pytest.mark.parametrize(
    ("schema", "places"),
    [
        ({"properties": {"psk": {"writeOnly": True}, "a": {"properties": {"b": {"writeOnly": True}}}}}, []),
        ({"properties": {"writeOnly": {"type": "boolean"}}}, []),
        ({"properties": {"a": {"items": {"writeOnly": True}}}}, ["/properties/a/items/writeOnly"]),
        ({"$defs": {"psk": {"writeOnly": True}}}, ["/$defs/psk/writeOnly"]),
        ({"allOf": [{"properties": {"a": {"writeOnly": True}}}]}, ["/allOf/0/properties/a/writeOnly"]),
        ({"additionalProperties": {"writeOnly": True}}, ["/additionalProperties/writeOnly"]),
    ],
)
def test_a_secret_that_could_not_be_hidden_is_found(schema: Json, places: list[str]) -> None:
    assert [place for place, _ in misplaced(schema)] == places

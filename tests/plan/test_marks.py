import pytest

from reconciler.inventory.schema import packaged_schema
from reconciler.model import ABSENT, Json, Value
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


@pytest.mark.parametrize(
    ("pointer", "values", "hidden"),
    [
        ("/wifi", [{"ssid": "a"}], False),
        ("/wifi", [{"ssid": "a"}, {"psk": "b"}], True),
        ("/wifi", [{"psk": None}], True),
        ("/wifi", ["hunter2"], True),
        ("/wifi", [ABSENT, None, {}], False),
        ("/wifi/ssid", ["a"], False),
        ("/wifi/psk", ["b"], True),
        ("/wifi/psk", [ABSENT], False),
        ("/wifi/psk/0", ["b"], True),
        ("/name", ["b"], False),
    ],
)
def test_an_object_is_hidden_only_if_it_holds_a_secret(pointer: str, values: list[Value], hidden: bool) -> None:  # noqa: FBT001
    found = marks({"properties": {"wifi": {"properties": {"psk": {"writeOnly": True}}}}})

    assert found.hides(pointer, *values) is hidden


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

from reconciler.inventory.schema import packaged_schema
from reconciler.plan.marks import marks


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

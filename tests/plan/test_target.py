import pytest
from examples import Fleet, applied, desired

from reconciler.errors import Usage
from reconciler.plan.target import target

FLEET: Fleet = {
    "AP-1": {"status": "active", "configuration": {"channel": 11, "dfs": True}, "tags": ["lobby", "wifi"]},
    "AP-2": {"status": "inactive", "configuration": {"channel": 6, "dfs": False}, "location": "Lyon 3"},
    "LT-1": {"status": "active", "note": None},
}


def chosen(*patterns: str, gone: Fleet | None = None) -> list[str]:
    ours, theirs = target(desired(FLEET), applied({**FLEET, **(gone or {})}), patterns)
    return sorted(ours.devices.keys() | theirs.devices.keys())


@pytest.mark.parametrize(
    ("pattern", "devices"),
    [
        ("AP-1", ["AP-1"]),
        ("AP-*", ["AP-1", "AP-2"]),
        ("status=active", ["AP-1", "LT-1"]),
        ("configuration.channel=11", ["AP-1"]),
        ("configuration.dfs=true", ["AP-1"]),
        ("location=Lyon*", ["AP-2"]),
        ("tags=wifi", ["AP-1"]),
        ("note=null", ["LT-1"]),
    ],
)
def test_a_pattern_names_devices_by_serial_or_by_what_they_hold(pattern: str, devices: list[str]) -> None:
    assert chosen(pattern) == devices


def test_patterns_add_up_and_none_means_all() -> None:
    assert chosen("AP-1", "LT-1") == ["AP-1", "LT-1"]
    assert chosen() == ["AP-1", "AP-2", "LT-1"]


def test_a_device_that_left_the_inventory_is_found_by_what_was_applied() -> None:
    assert chosen("status=retired", gone={"OLD": {"status": "retired"}}) == ["OLD"]


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("AP", "AP*"),
        ("channel=11", "configuration.channel=11"),
        ("statis=active", "status=active"),
        ("status=unheard", None),
        ("nothing=like", None),
    ],
)
def test_what_was_meant_is_the_rest_of_a_serial_where_a_field_is_or_another_spelling(
    pattern: str, meant: str | None
) -> None:
    with pytest.raises(Usage) as raised:
        chosen(pattern)

    assert str(raised.value) == f"--target {pattern!r} matches no device" + (
        f"; did you mean {meant}?" if meant else ""
    )


def test_a_pattern_that_matches_nothing_is_a_mistake_with_a_suggestion() -> None:
    with pytest.raises(Usage, match=r"'AP-11' matches no device; did you mean AP-1\?"):
        chosen("AP-11")

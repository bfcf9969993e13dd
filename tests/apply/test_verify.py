import pytest
from examples import fields
from hypothesis import given

from reconciler.apply.verify import divergence
from reconciler.model import ABSENT, Divergence, Json, Value


@given(fields, fields)
def test_an_echo_that_holds_all_that_was_sent_matches_whatever_else_it_holds(
    sent: dict[str, Json], more: dict[str, Json]
) -> None:
    assert divergence(sent, more | sent) == ()


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [(1, 1.0), (1.0, 1), ({"a": 1}, {"a": 1, "b": 2}), ([{"a": 1}], [{"a": 1.0, "more": True}]), (None, None)],
)
def test_values_that_mean_the_same_match(sent: Json, echoed: Json) -> None:
    assert divergence({"x": sent}, {"x": echoed}) == ()


@pytest.mark.parametrize(
    ("sent", "echoed", "path"),
    [
        (1, True, "/x"),
        (True, 1, "/x"),
        ("1", 1, "/x"),
        (None, ABSENT, "/x"),
        ([1, 2], [2, 1], "/x"),
        ([1], [1, 2], "/x"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "/x/a/b"),
        ({"a": 1}, None, "/x/a"),
        ({}, [], "/x"),
    ],
)
def test_what_differs_is_named_at_its_leaf(sent: Json, echoed: Value, path: str) -> None:
    echo: dict[str, Json] = {} if echoed is ABSENT else {"x": echoed}

    assert [item.path for item in divergence({"x": sent}, echo)] == [path]


def test_a_set_like_list_may_come_back_in_any_order() -> None:
    sent: dict[str, Json] = {"tags": ["b", "a"], "dns": ["b", "a"]}
    echo: dict[str, Json] = {"tags": ["a", "b"], "dns": ["a", "b"]}

    assert [item.path for item in divergence(sent, echo, set_like=frozenset({"/tags"}))] == ["/dns"]


def test_a_key_that_was_removed_and_is_still_there_is_a_divergence() -> None:
    found = divergence({"c": {"a": 1}}, {"c": {"a": 1, "old": 2}}, removed=["/c/old", "/c/older"])

    assert found == (Divergence("/c/old", ABSENT, 2),)


def test_a_secret_is_neither_compared_nor_shown() -> None:
    secret = frozenset({"/wifi/psk"})

    assert divergence({"wifi": {"psk": "a", "ssid": "s"}}, {"wifi": {"psk": "***", "ssid": "s"}}, secret=secret) == ()
    assert [item.path for item in divergence({"wifi": {"psk": "a", "ssid": "s"}}, {}, secret=secret)] == ["/wifi/ssid"]


def test_a_field_that_only_begins_like_a_secret_is_compared() -> None:
    found = divergence({"pskx": 1, "psk": {"a": 1}}, {"pskx": 2, "psk": {"a": 2}}, secret=frozenset({"/psk"}))

    assert [item.path for item in found] == ["/pskx"]


@pytest.mark.parametrize("removed", ["/c/wifi/psk", "/c/wifi", "/c"])
def test_a_removed_secret_that_is_still_there_is_told_and_not_shown(removed: str) -> None:
    echo: dict[str, Json] = {"c": {"wifi": {"psk": "hunter2"}}}

    assert divergence({}, echo, removed=[removed], secret=frozenset({"/c/wifi/psk"})) == (
        Divergence(removed, ABSENT, "(sensitive)"),
    )


def test_a_value_in_place_of_the_object_that_held_a_secret_is_not_shown() -> None:
    found = divergence({"wifi": None}, {"wifi": {"psk": "hunter2"}}, secret=frozenset({"/wifi/psk"}))

    assert "hunter2" not in repr(found)
    assert [item.path for item in found] == ["/wifi"]

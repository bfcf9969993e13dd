from examples import fields, values
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ABSENT, Json
from reconciler.pointer import get, join, patched, split

paths = st.lists(st.text(max_size=4), min_size=1, max_size=3)


def test_the_two_special_characters_are_escaped() -> None:
    assert join("configuration", "a/b", "m~n", 0) == "/configuration/a~1b/m~0n/0"


@given(paths)
def test_split_is_the_inverse_of_join(path: list[str]) -> None:
    assert split(join(*path)) == tuple(path)


@given(fields, paths, values)
def test_what_was_put_is_got_back_and_the_document_is_left_alone(
    document: dict[str, Json], path: list[str], value: Json
) -> None:
    before = repr(document)

    assert get(patched(document, [(join(*path), value)]), join(*path)) == value
    assert repr(document) == before


@given(fields, paths)
def test_what_was_removed_is_absent_and_removing_it_again_does_nothing(
    document: dict[str, Json], path: list[str]
) -> None:
    once = patched(document, [(join(*path), ABSENT)])

    assert get(once, join(*path)) is ABSENT
    assert patched(once, [(join(*path), ABSENT)]) == once


def test_a_way_through_something_else_than_an_object_is_made() -> None:
    assert patched({"a": 1}, [("/a/b/c", 2)]) == {"a": {"b": {"c": 2}}}
    assert get({"a": [1]}, "/a/0") is ABSENT

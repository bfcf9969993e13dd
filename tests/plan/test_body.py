from collections.abc import Mapping

from examples import AP, applied, desired, fields
from hypothesis import given

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Json
from reconciler.plan.body import body, removed_keys
from reconciler.plan.diff import Removed, diff
from reconciler.pointer import patched


def sent(
    old: Mapping[str, Json], new: Mapping[str, Json], *, merge: bool = False, removed: Removed = "release"
) -> tuple[dict[str, Json], tuple[str, ...]]:
    changes = diff(desired({AP: new}), applied({AP: old}), merged=lambda _: merge, removed=removed)
    if not changes:
        return {}, ()
    return body(changes[0], old, merged=lambda _: merge), removed_keys(changes[0], merged=lambda _: merge)


def test_only_changed_fields_are_sent() -> None:
    assert sent({"name": "a", "status": "x"}, {"name": "b", "status": "x"})[0] == {"name": "b"}


def test_a_changed_object_is_sent_whole_and_names_the_keys_it_drops() -> None:
    old: Mapping[str, Json] = {"configuration": {"a": 1, "b": 2, "c": 3}}

    assert sent(old, {"configuration": {"a": 1, "b": 9}}) == (
        {"configuration": {"a": 1, "b": 9}},
        ("/configuration/c",),
    )


def test_a_merged_object_is_sent_key_by_key() -> None:
    old: Mapping[str, Json] = {"configuration": {"a": 1, "b": {"x": 1, "y": 2}, "c": 3}}
    new: Mapping[str, Json] = {"configuration": {"a": 1, "b": {"x": 1, "y": 3}}}

    assert sent(old, new, merge=True) == ({"configuration": {"b": {"y": 3}}}, ())
    assert sent(old, new, merge=True, removed="null")[0] == {"configuration": {"b": {"y": 3}, "c": None}}


def test_a_released_field_is_not_sent_and_a_nulled_one_is() -> None:
    assert sent({"location": "x"}, {})[0] == {}
    assert sent({"location": "x"}, {}, removed="null")[0] == {"location": None}


@given(fields, fields)
def test_a_server_that_replaces_what_it_is_sent_ends_at_what_is_desired(
    old: dict[str, Json], new: dict[str, Json]
) -> None:
    held = {name: value for name, value in old.items() if name in new} | sent(old, new)[0]

    assert canonical(held) == canonical(new)


@given(fields, fields)
def test_a_server_that_merges_what_it_is_sent_ends_at_what_is_desired_and_what_was_given_up(
    old: dict[str, Json], new: dict[str, Json]
) -> None:
    [*changes] = diff(desired({AP: new}), applied({AP: old}), merged=lambda _: True)
    held = _merged(old, sent(old, new, merge=True)[0])
    gone = [(field.path, ABSENT) for change in changes for field in change.fields if field.after is ABSENT]

    assert canonical(patched(held, gone)) == canonical(new)


def _merged(held: dict[str, Json], edit: dict[str, Json]) -> dict[str, Json]:
    result = dict(held)
    for key, value in edit.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def test_a_merged_object_that_only_loses_keys_has_nothing_to_send() -> None:
    assert sent({"configuration": {"a": 1, "b": 2}}, {"configuration": {"a": 1}}, merge=True) == ({}, ())

"""The law of changes that wait on disk: whoever looks at them sees what a tuple of them would show."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.brief import Columns, Fields, columns, shared
from reconciler.fleet.changes import Changes, packed
from reconciler.model import ABSENT, Action, Change, FieldChange, Plan, Serial, Source
from reconciler.plan.guard import guard
from reconciler.plan.plan_file import digest, summary, to_json
from reconciler.policy import GuardSettings
from reconciler.report.text import plan_text

VALUES = st.sampled_from([ABSENT, None, True, 1, 1.0, "", "ä\ud800", ["a", {"b": None}], {}, {"c": 2**53 - 1}])
SOURCES = st.one_of(
    st.none(), st.builds(Source, st.sampled_from(["a.yaml", "b/c.yaml"]), st.integers(1, 2), st.just(1))
)
FIELDS = st.builds(
    FieldChange, st.sampled_from(["/a", "/b/c", "/d~1e"]), VALUES, VALUES, SOURCES, st.booleans(), st.booleans()
)
SERIALS = st.one_of(st.none(), st.sampled_from([Serial("X-1"), Serial("X-2")]))


@st.composite
def some_changes(draw: st.DrawFn) -> list[Change]:
    made = []
    for serial in draw(st.lists(st.sampled_from("ABCDEFGHIJ"), unique=True)):
        fields = draw(st.lists(FIELDS, max_size=3, unique_by=lambda field: field.path))
        action = draw(st.sampled_from(Action))
        kept, (replaces, waits_for) = draw(st.booleans()), draw(st.tuples(SERIALS, SERIALS))
        source, unknown = draw(SOURCES), draw(st.sampled_from([None, "", "u"]))
        ends = f"before {serial}", f"after {serial}"
        made.append(Change(Serial(serial), action, tuple(fields), *ends, unknown, source, replaces, kept, waits_for))
    return made


def waiting(changes: list[Change]) -> Changes:
    """As a plan has them that are too many for a tuple."""
    found = Changes()
    half = len(changes) // 2
    found.add(map(packed, changes[half:]))
    found.add(map(packed, changes[:half]))
    found.settled()
    return found


@settings(max_examples=200)
@given(some_changes())
def test_what_waits_on_disk_is_what_was_put_there_in_serial_order(changes: list[Change]) -> None:
    found = waiting(changes)
    expected = sorted(changes, key=lambda change: change.serial)

    assert [replace(change, fields=tuple(change.fields)) for change in found] == expected
    assert [field.own for change in found for field in change.fields] == [
        field.own for change in expected for field in change.fields
    ]
    assert found.digest() == digest(expected)
    new = {Action.ADOPT, Action.REPLACE}
    assert list(found.known) == [change.serial for change in expected if change.action not in new]


@settings(max_examples=200)
@given(some_changes())
def test_nobody_who_looks_at_a_plan_can_tell_whether_its_changes_wait_on_disk(changes: list[Change]) -> None:
    one = Plan("lineage", 1, waiting(changes), 0)
    other = replace(one, changes=tuple(sorted(changes, key=lambda change: change.serial)))

    assert plan_text(one) == plan_text(other)
    assert plan_text(one, full=True) == plan_text(other, full=True)
    assert summary(one) == summary(other)
    assert to_json(one) == to_json(other)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert guard(one.changes, {}, limits=GuardSettings(), moment=moment) == guard(
        other.changes, {}, limits=GuardSettings(), moment=moment
    )


@given(some_changes(), st.sets(st.sampled_from("ABCDEFGHIJ")))
def test_what_is_forgotten_is_as_if_it_had_never_been_there(changes: list[Change], gone: set[str]) -> None:
    found = Changes()
    found.add(map(packed, changes))
    found.without(map(Serial, gone))
    found.settled()

    assert list(found) == list(waiting([change for change in changes if change.serial not in gone]))


def test_what_a_device_says_for_itself_is_not_shared_and_neither_is_what_stands_nowhere() -> None:
    line = Source("a.yaml", 1)
    fields = (
        FieldChange("/own", ABSENT, 1, line, own=True),
        FieldChange("/shared", ABSENT, 1, line),
        FieldChange("/nowhere", ABSENT, 1),
    )
    found = waiting([Change(Serial("A"), Action.ADOPT, fields, "", "")])

    assert list(found.shared(0)) == [fields[1]] == list(shared(list(found))(0))


@given(st.lists(FIELDS, max_size=4))
def test_fields_in_columns_are_the_fields(fields: list[FieldChange]) -> None:
    paths, found = columns(fields)
    lazy = Fields(paths, lambda: found)

    assert list(lazy) == fields
    assert lazy == fields
    assert len(lazy) == len(fields)
    assert lazy[1:] == tuple(fields[1:])
    assert columns(lazy) == (paths, found)
    assert (lazy == [*fields, None]) is False


def test_columns_of_unequal_length_are_a_defect_that_shows() -> None:
    lazy = Fields(("/a",), lambda: Columns((1,), (2,), (None,), (False,), ()))

    with pytest.raises(ValueError, match="shorter"):
        list(lazy)

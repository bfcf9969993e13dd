from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import click
from examples import values
from hypothesis import given
from hypothesis import strategies as st

from reconciler.canonical import canonical
from reconciler.model import ABSENT, Action, Change, FieldChange, Plan, Serial, Source, Value
from reconciler.report.fold import Folded, folded
from reconciler.report.text import plan_text

LINE = Source("inventory/_groups/kiosk.yaml", 5, 12)
ELSEWHERE = Source("inventory/kiosks/_defaults.yaml", 5, 12)

Row = tuple[Serial, Action, str, str, str, Source | None, bool]


def change(serial: str, *fields: FieldChange, action: Action = Action.UPDATE) -> Change:
    return Change(Serial(serial), action, fields, "", "", source=Source(f"inventory/{serial}.yaml", 1))


def channel(before: Value, after: Value, source: Source | None = LINE) -> FieldChange:
    return FieldChange("/configuration/channel", before, after, source)


def rows(serial: Serial, action: Action, fields: Iterable[FieldChange]) -> Iterator[Row]:
    for field in fields:
        before, after = ("" if item is ABSENT else canonical(item) for item in (field.before, field.after))
        yield serial, action, field.path, before, after, field.source, field.sensitive


def unfolded(changes: Iterable[Change]) -> list[Row | tuple[Serial, Action]]:
    """Every field of every device, and the devices without any."""
    found: list[Row | tuple[Serial, Action]] = []
    for item in changes:
        found += list(rows(item.serial, item.action, item.fields)) or [(item.serial, item.action)]
    return sorted(found, key=repr)


def expanded(fold: Folded) -> list[Row | tuple[Serial, Action]]:
    told = [
        row for cause in fold.causes for serial, field in cause.members for row in rows(serial, cause.action, [field])
    ]
    left = unfolded([change for group in fold.groups for change in group] + [*fold.singles])
    return sorted([*told, *left], key=repr)


ends = st.sampled_from([ABSENT, 1, 1.0, True, None, "1", "auto", [1]]) | values
fields = st.builds(
    FieldChange,
    st.sampled_from(["/a", "/b", "/c/d"]),
    ends,
    ends,
    st.sampled_from([LINE, ELSEWHERE, Source(LINE.file, 6), None]),
    sensitive=st.booleans(),
)
plans = st.lists(
    st.builds(
        Change,
        st.sampled_from([Serial(f"K-{number}") for number in range(9)]),
        st.sampled_from(Action),
        st.lists(fields, max_size=3, unique_by=lambda field: field.path).map(tuple),
        st.just(""),
        st.just(""),
        st.sampled_from([None, "sent"]),
        st.sampled_from([LINE, ELSEWHERE, None]),
    ),
    unique_by=lambda change: change.serial,
)


@given(plans)
def test_a_folded_plan_expands_to_exactly_the_unfolded_one(changes: list[Change]) -> None:
    assert expanded(folded(changes)) == unfolded(changes)


@given(plans, st.randoms(use_true_random=False))
def test_the_order_of_the_changes_means_nothing(changes: list[Change], random: Random) -> None:
    assert folded(random.sample(changes, len(changes))) == folded(changes)


@given(plans)
def test_a_cause_has_two_devices_and_the_devices_of_a_group_are_alike(changes: list[Change]) -> None:
    fold = folded(changes)

    assert all(len({serial for serial, _ in cause.members}) > 1 for cause in fold.causes)
    for group in fold.groups:
        shown = {
            (item.action, *sorted(row[2:5] for row in rows(item.serial, item.action, _masked(item).fields)))
            for item in group
        }
        assert len(group) > len(shown) == 1


def _masked(item: Change) -> Change:
    def end(value: Value) -> Value:
        return value if value is ABSENT else "secret"

    return replace(
        item,
        fields=tuple(
            replace(field, before=end(field.before), after=end(field.after)) if field.sensitive else field
            for field in item.fields
        ),
    )


@given(plans)
def test_the_values_of_secrets_make_no_difference_to_what_is_shown(changes: list[Change]) -> None:
    def text(items: Iterable[Change]) -> str:
        return plan_text(Plan("lineage", 7, tuple(items), 0, observed=tuple(items)))

    assert text(changes) == text([_masked(item) for item in changes])


def test_one_line_on_many_devices_is_one_cause_with_the_value_that_each_holds() -> None:
    [cause] = folded([change("K-1", channel("auto", 11)), change("K-2", channel(6, 11))]).causes

    assert (cause.source, cause.path, cause.action) == (LINE, "/configuration/channel", Action.UPDATE)
    assert [(serial, field.before) for serial, field in cause.members] == [("K-1", "auto"), ("K-2", 6)]


def test_one_line_on_one_device_is_no_cause() -> None:
    fold = folded([change("K-1", channel("auto", 11)), change("K-2", channel(6, 11, ELSEWHERE))])

    assert (fold.causes, [item.serial for item in fold.singles]) == ((), ["K-1", "K-2"])


def test_what_no_cause_tells_stays_with_the_device() -> None:
    name = FieldChange("/name", "a", "b", Source("inventory/K-1.yaml", 2))
    fold = folded([change("K-1", channel("auto", 11), name), change("K-2", channel("auto", 11))])

    assert len(fold.causes) == 1
    assert [(item.serial, item.fields) for item in fold.singles] == [("K-1", (name,))]


def test_the_same_change_with_no_line_in_common_is_a_group() -> None:
    fold = folded([change(f"K-{number}", channel(6, ABSENT, None)) for number in range(3)])

    assert [[item.serial for item in group] for group in fold.groups] == [["K-0", "K-1", "K-2"]]


def test_one_and_true_are_different_changes() -> None:
    changes = [change(f"K-{value}", channel(0, value, None)) for value in (1, True)]

    assert folded(changes).groups == ()


def test_a_line_that_sets_and_removes_is_two_causes() -> None:
    set_ = [change(f"K-{number}", channel(6, 11)) for number in range(2)]
    removed = [change(f"L-{number}", channel(6, ABSENT)) for number in range(2)]

    assert [len(cause.members) for cause in folded([*set_, *removed]).causes] == [2, 2]


def test_the_cause_of_most_devices_comes_first_and_then_the_place_counts() -> None:
    few = [change(f"A-{number}", channel(6, 11, ELSEWHERE)) for number in range(2)]
    many = [change(f"K-{number}", channel(6, 11)) for number in range(3)]
    as_few = [change(f"L-{number}", channel(6, 11, Source("inventory/_defaults.yaml", 2))) for number in range(2)]

    places = [cause.source.file for cause in folded([*few, *many, *as_few]).causes]
    assert places == [LINE.file, "inventory/_defaults.yaml", ELSEWHERE.file]


def test_nothing_of_a_change_reaches_the_terminal_raw() -> None:
    nasty = "\x1b[2J\u202e\n::error::"
    place = Source(f"inventory/{nasty}.yaml", 5)
    field = FieldChange(f"/{nasty}", nasty, [nasty], place)
    changes = tuple(replace(change(f"K-{number}", field), source=place) for number in range(50))
    adopted = tuple(replace(item, action=Action.ADOPT) for item in changes)
    for shown in (changes, adopted, changes[:1], adopted[:1], adopted[:9]):
        plan = Plan("lineage", 7, shown, 0, observed=shown, targets=(nasty,))
        text = click.unstyle(plan_text(plan))

        assert not {"\x1b", "\u202e"} & set(text)
        assert not any(line.startswith("::") for line in text.splitlines())

"""Every limit either passes or refuses, by its arithmetic, and is never skipped."""

from collections.abc import Mapping
from datetime import UTC, datetime

from examples import PLACE
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.model import ABSENT, Action, Change, DeviceState, FieldChange, GuardCheck, Intent, Serial, Source
from reconciler.plan.guard import RULES, guard
from reconciler.policy import GuardSettings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
Counts = Mapping[Action, int]
GONE = (Action.RELEASE, Action.DECOMMISSION, Action.REPLACE)
NEW = (Action.ADOPT, Action.REPLACE)
actions = st.dictionaries(st.sampled_from(Action), st.integers(0, 60))
limits = st.none() | st.integers(0, 60)
percentages = st.integers(0, 100).map(float) | st.floats(0, 100)


def made(serial: str, action: Action, *places: Source | None) -> Change:
    return Change(Serial(serial), action, tuple(FieldChange("/vlan", 1, 2, place) for place in places), "", "")


def plan(counts: Counts) -> list[Change]:
    return [made(f"{action}{number}", action) for action, count in counts.items() for number in range(count)]


def checked(changes: list[Change], settings: GuardSettings, *, total: int) -> dict[str, GuardCheck]:
    fleet = {Serial(f"D{number}"): DeviceState({}) for number in range(total)}
    checks = guard(changes, fleet, limits=settings, moment=NOON)
    assert tuple(check.rule for check in checks) == RULES
    return {check.rule: check for check in checks}


@given(actions, st.integers(0, 200), st.integers(0, 60), st.tuples(percentages, percentages))
@example({Action.UPDATE: 30, Action.RELEASE: 5}, 100, 0, (30.0, 5.0))
@example({Action.UPDATE: 31, Action.RELEASE: 6}, 100, 0, (30.0, 5.0))
@example({Action.UPDATE: 10, Action.RELEASE: 10}, 10, 10, (0.0, 0.0))
@example({Action.UPDATE: 11, Action.RELEASE: 5, Action.DECOMMISSION: 6}, 11, 10, (0.0, 100.0))
@example({Action.UPDATE: 1, Action.RELEASE: 1}, 0, 0, (100.0, 0.0))
def test_a_percentage_refuses_more_than_the_floor_and_more_than_its_share(
    counts: Counts, total: int, floor: int, limit: tuple[float, float]
) -> None:
    settings = GuardSettings(max_changed_pct=limit[0], max_released_pct=limit[1], floor=floor)
    checks = checked(plan(counts), settings, total=total)
    updated, gone = counts.get(Action.UPDATE, 0), sum(counts.get(action, 0) for action in GONE)

    assert checks["max_changed_pct"].passed is not (updated > floor and updated * 100 > limit[0] * total)
    assert checks["max_released_pct"].passed is not (gone > floor and gone * 100 > limit[1] * total)
    assert (checks["max_changed_pct"].limit, checks["max_released_pct"].limit) == limit


def test_what_passes_for_its_floor_alone_says_so() -> None:
    settings = GuardSettings(max_changed_pct=30, max_released_pct=5, floor=10)

    def said(updates: int, total: int) -> str:
        return checked(plan({Action.UPDATE: updates}), settings, total=total)["max_changed_pct"].message

    assert said(1, 2) == "1 of 2 changed (50 %, limit 30 % beyond the floor of 10)"
    assert said(10, 12) == "10 of 12 changed (83.3 %, limit 30 % beyond the floor of 10)"
    assert said(3, 10) == "3 of 10 changed (30 %, limit 30 %)"
    assert said(0, 2) == "0 changed (limit 30 %)"


@given(actions, st.tuples(limits, limits, limits))
@example({}, (0, 0, 0))
@example({Action.UPDATE: 1, Action.RELEASE: 1, Action.ADOPT: 1}, (0, 0, 0))
@example({Action.UPDATE: 5, Action.DECOMMISSION: 5, Action.ADOPT: 5}, (5, 5, 5))
def test_an_absolute_limit_means_what_it_says_and_knows_no_floor(
    counts: Counts, limit: tuple[int | None, int | None, int | None]
) -> None:
    settings = GuardSettings(
        max_changed=limit[0], max_released=limit[1], max_adopted=limit[2], floor=10**6, max_changed_pct=0.0
    )
    checks = checked(plan(counts), settings, total=100)
    gone, new = (sum(counts.get(action, 0) for action in actions) for actions in (GONE, NEW))
    measured = (counts.get(Action.UPDATE, 0), gone, new)

    for rule, count, most in zip(("max_changed", "max_released", "max_adopted"), measured, limit, strict=True):
        assert checks[rule].passed is (most is None or count <= most)
        assert (checks[rule].measured, checks[rule].limit) == (count, most)
    assert checks["max_changed_pct"].passed, "the floor holds for percentages"


@given(st.lists(st.lists(st.integers(1, 4), max_size=3), max_size=20), st.none() | st.integers(0, 20))
def test_one_line_may_change_so_many_devices_and_no_more(lines: list[list[int]], limit: int | None) -> None:
    changes = [
        made(f"U{number}", Action.UPDATE, *(Source("groups.yaml", line, column) for column, line in enumerate(own, 1)))
        for number, own in enumerate(lines)
    ]
    widest = max((sum(line in own for own in lines) for line in range(1, 5)), default=0)
    check = checked(changes, GuardSettings(max_fan_out=limit, floor=10**6), total=20)["max_fan_out"]

    assert check.passed is (limit is None or widest <= limit)
    assert check.measured == widest


def test_the_line_that_reaches_too_far_is_named_with_its_count_and_the_way_out() -> None:
    changes = [made(f"U{number}", Action.UPDATE, PLACE, None) for number in range(12)]
    changes += [made(f"V{number}", Action.UPDATE, Source("inventory/hall.yaml", 9)) for number in range(3)]
    check = checked(changes, GuardSettings(max_fan_out=2, floor=99), total=100)["max_fan_out"]

    assert check.message == (
        "inventory/lobby.yaml:3 changes 12 devices, inventory/hall.yaml:9 changes 3 devices;"
        " the limit for one line is 2"
    )
    assert check.override.endswith("raise guard.max_fan_out in a reviewed change, or: --allow max_fan_out")


def test_adoptions_and_resends_do_not_fan_out() -> None:
    changes = [made("A", Action.ADOPT, PLACE), made("B", Action.RESEND, PLACE), made("C", Action.UPDATE, PLACE)]

    assert checked(changes, GuardSettings(max_fan_out=1), total=3)["max_fan_out"].measured == 1


def test_what_is_new_about_a_device_that_is_sent_again_is_a_change() -> None:
    state = DeviceState({"vlan": 1}, unknown=Intent({"name": "x"}, (FieldChange("/name", ABSENT, "x"),)))
    again = FieldChange("/name", "x", "x", PLACE)
    new = FieldChange("/vlan", 1, 2, PLACE)
    checks = {
        fields: [
            check.rule
            for check in guard(
                [Change(Serial("A"), Action.RESEND, fields, "", "")],
                {Serial("A"): state},
                limits=GuardSettings(max_changed=0, max_fan_out=0),
                moment=NOON,
            )
            if not check.passed
        ]
        for fields in ((again,), (again, new))
    }

    assert checks == {(again,): [], (again, new): ["max_changed", "max_fan_out"]}

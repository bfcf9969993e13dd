from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.freeze import frozen, within
from reconciler.policy import Freeze

PARIS = ZoneInfo("Europe/Paris")
WEEK = frozenset(range(7))
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6


def window(
    start: str = "00:00", end: str = "24:00", *, days: frozenset[int] = WEEK, zone: ZoneInfo = PARIS, reason: str = ""
) -> Freeze:
    first, last = (int(text[:2]) * 60 + int(text[3:]) for text in (start, end))
    return Freeze(days, first, last, zone, f"{start}-{end}", reason)


def paris(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-27T17:59", False),
        ("2026-11-27T18:00", True),
        ("2026-11-28T05:59", True),
        ("2026-11-28T06:00", False),
        ("2026-11-28T18:00", False),
        ("2026-11-27T05:59", False),
    ],
)
def test_the_part_after_midnight_belongs_to_the_day_it_began_on(moment: str, inside: bool) -> None:  # noqa: FBT001
    friday_night = window("18:00", "06:00", days=frozenset({FRIDAY}))

    assert within(friday_night, paris(moment)) is inside


def test_a_window_without_hours_is_the_whole_day_in_its_zone() -> None:
    saturday = window(days=frozenset({SATURDAY}))

    assert not within(saturday, datetime(2026, 11, 27, 22, 59, tzinfo=UTC))
    assert within(saturday, datetime(2026, 11, 27, 23, 0, tzinfo=UTC)), "it is midnight in Paris"
    assert within(saturday, datetime(2026, 11, 28, 22, 59, tzinfo=UTC))
    assert not within(saturday, datetime(2026, 11, 28, 23, 0, tzinfo=UTC))


def test_when_clocks_go_forward_a_window_still_ends_by_the_clock_on_the_wall() -> None:
    """On 2026-03-29 in Paris, 02:00 is followed by 03:00: the night has one hour less."""
    night = window("22:00", "06:00", days=frozenset({SATURDAY}))
    began, ended = datetime(2026, 3, 28, 21, tzinfo=UTC), datetime(2026, 3, 29, 4, tzinfo=UTC)

    assert within(night, began)
    assert not within(night, began - timedelta(minutes=1))
    assert within(night, ended - timedelta(minutes=1))
    assert not within(night, ended)
    assert not any(
        within(window("02:00", "03:00"), datetime(2026, 3, 29, 0, 30, tzinfo=UTC) + timedelta(minutes=minutes))
        for minutes in range(120)
    ), "an hour that there is not cannot be frozen"


def test_when_clocks_go_back_the_hour_that_comes_twice_is_frozen_twice() -> None:
    """On 2026-10-25 in Paris, 03:00 is followed by 02:00."""
    small_hours = window("02:00", "03:00", days=frozenset({SUNDAY}))
    inside = [
        minutes
        for minutes in range(240)
        if within(small_hours, datetime(2026, 10, 24, 23, 0, tzinfo=UTC) + timedelta(minutes=minutes))
    ]

    assert inside == list(range(60, 180))
    assert within(small_hours, paris("2026-10-25T02:30", fold=0))
    assert within(small_hours, paris("2026-10-25T02:30", fold=1))


@given(st.integers(0, 1439), st.integers(0, 1439), st.sets(st.integers(0, 6), min_size=1), st.integers(0, 7 * 1440 - 1))
def test_a_window_holds_exactly_the_minutes_that_follow_its_beginnings(
    start: int, end: int, days: set[int], minute: int
) -> None:
    moment = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=minute)  # a Monday
    length = (end - start) % 1440 or 1440
    begins = [day * 1440 + start for day in days]
    inside = any((minute - begin) % (7 * 1440) < length for begin in begins)

    assert within(Freeze(frozenset(days), start, end, ZoneInfo("UTC"), ""), moment) is inside


def test_a_change_in_a_window_is_refused_with_the_reason_and_the_way_out() -> None:
    check = frozen([window(reason="end-of-year sales")], paris("2026-11-27T12:00"), changes=3)

    assert (check.rule, check.passed) == ("freeze", False)
    assert check.message == "nothing is to be applied now, in the freeze window 00:00-24:00: end-of-year sales"
    assert check.override.endswith("--allow freeze")


def test_nothing_to_do_is_not_refused_and_no_moment_is_named() -> None:
    assert frozen([window()], paris("2026-11-27T12:00"), changes=0).message == "nothing to freeze"
    assert frozen([window("01:00", "02:00")], paris("2026-11-27T12:00"), changes=1).passed
    assert frozen([], paris("2026-11-27T12:00"), changes=1).message == "no freeze window"

"""The grammar of `--fault`, and which requests a fault strikes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Usage
from reconciler.sandbox.behaviours import SlowAccept
from reconciler.sandbox.faults import Round, parse
from reconciler.sandbox.kinds import KINDS, Kind


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", 'unknown kind ""; known are latency, '),
        ("latncy=2ms", 'unknown kind "latncy"; did you mean "latency"?'),
        ("drop-after-comit:30%", 'did you mean "drop-after-commit"?'),
        ("latency", "latency needs a value: 20ms, 1.5s, uniform(5ms,50ms) or exponential(20ms)"),
        ("latency=20", '"20" is not a value of latency; expected 20ms, 1.5s'),
        ("latency=-1ms", '"-1ms" is not a value'),
        ("latency=uniform(5ms)", "is not a value"),
        ("latency=uniform(9ms,5ms)", "is not a value"),
        ("latency=exponential(x)", "is not a value"),
        ("slow-accept=inf", "is not a value"),
        ("throttle=soon", "expected 2s, date(2s) for an HTTP date, missing or nonsense"),
        ("throttle=1.5s", "is not a value"),
        ("error-before-commit=200", '"200" is not a value of error-before-commit; expected 400 to 599'),
        ("error-after-commit=teapot", "is not a value"),
        ("redirect=200", "expected 301, 302, 303, 307 or 308"),
        ("normalised=rot13", "expected upper, lower or trimmed"),
        ("drip=0ms", "is not a value"),
        ("oversized=0MiB", "expected 64KiB or 2MiB"),
        ("gzip-bomb=2GB", "is not a value"),
        ("close=1", "close takes no value"),
        ("close:", 'unknown condition ""; conditions look like 30%, x2, first=2, serial=AP-*, seed=7'),
        ("close:0%", "unknown condition"),
        ("close:101%", "unknown condition"),
        ("close:x0", "unknown condition"),
        ("close:first=0", "unknown condition"),
        ("close:sed=1", 'unknown condition "sed=1"; did you mean "seed="?'),
        ("close:30%,40%", "more than one condition of the kind 40%"),
        ("slow-accept=1ms:serial=AP-1", "strikes connections, before a serial is known"),
        ("clo\x1bse", 'fault "clo\\u001bse"'),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_with_the_accepted_form(spec: str, words: str) -> None:
    with pytest.raises(Usage) as refused:
        parse(spec)

    assert words in str(refused.value)
    assert "the form is KIND[=VALUE][:CONDITION,...]; reconciler sandbox --help lists all" in str(refused.value)


def test_every_part_of_a_spec_is_understood() -> None:
    fault = parse("latency=uniform(5ms, 50ms):12.5%,x3,first=2,serial=AP-[0-9]*,seed=42")

    assert (fault.kind, fault.share, fault.times, fault.first, fault.serial, fault.seed) == (
        "latency",
        0.125,
        3,
        2,
        "AP-[0-9]*",
        42,
    )


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_kind_without_a_default_needs_a_value_and_the_others_do_not(name: str, kind: Kind) -> None:
    if kind.takes and kind.default is None:
        with pytest.raises(Usage, match="needs a value"):
            parse(name)
    else:
        assert parse(name).kind == name


@pytest.mark.parametrize(
    ("value", "low", "middle", "high"),
    [
        ("20ms", 0.02, 0.02, 0.02),
        ("1.5s", 1.5, 1.5, 1.5),
        ("uniform(10ms,30ms)", 0.01, 0.02, 0.03),
        ("exponential(1s)", 0.0, 0.693, 6.9),
    ],
)
def test_a_latency_follows_its_distribution(value: str, low: float, middle: float, high: float) -> None:
    does = parse(f"slow-accept={value}").does

    assert isinstance(does, SlowAccept)
    assert [does.delay(draw) for draw in (0.0, 0.5, 0.999)] == pytest.approx([low, middle, high], rel=0.01)


def test_a_share_is_that_share_of_the_requests() -> None:
    fault = parse("close:30%")

    struck = [fault.draw(f"AP-{number}", attempt) for number in range(500) for attempt in range(1, 5)]

    assert 0.27 < sum(draw is not None for draw in struck) / len(struck) < 0.33


def test_a_fault_that_strikes_half_the_time_draws_from_the_whole_range_when_it_does() -> None:
    fault = parse("latency=uniform(0ms,1s):10%")

    draws = [draw for number in range(3000) if (draw := fault.draw("AP", number)) is not None]

    assert min(draws) < 0.1
    assert max(draws) > 0.9


@given(st.integers(0, 999_999), st.text(), st.integers(1, 99))
def test_the_choice_depends_on_seed_serial_and_number_only(seed: int, serial: str, number: int) -> None:
    one, two = (parse(f"close:50%,seed={seed}") for _ in range(2))

    assert one.draw(serial, number) == two.draw(serial, number)


def test_another_seed_chooses_other_requests() -> None:
    chosen = {
        seed: {number for number in range(100) if parse(f"close:30%,seed={seed}").draw("AP", number) is not None}
        for seed in range(20)
    }

    assert len(set(map(frozenset, chosen.values()))) == 20


def test_kinds_of_one_seed_choose_apart() -> None:
    close, drop = parse("close:50%"), parse("drop-after-commit:50%")

    both = sum(close.draw("AP", n) is not None and drop.draw("AP", n) is not None for n in range(1000))

    assert 200 < both < 300


def test_x2_strikes_twice_in_all_and_first_2_twice_each() -> None:
    in_all, each = parse("close:x2"), parse("close:first=2")
    faults = Round([in_all, each])
    asked = [(serial, number) for number in (1, 2, 3) for serial in ("A", "B")]

    assert [faults.take(in_all, *one) is not None for one in asked] == [True, True, False, False, False, False]
    assert [faults.take(each, *one) is not None for one in asked] == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("glob", "matched"),
    [("AP-*", {"AP-1", "AP-12"}), ("AP-1", {"AP-1"}), ("*P-1", {"AP-1", "XAP-1"}), ("AP-1[0-9]", {"AP-12"})],
)
def test_a_serial_is_matched_as_a_whole_and_by_case(glob: str, matched: set[str]) -> None:
    fault = parse(f"close:serial={glob}")

    serials = {"AP-1", "AP-12", "ap-1", "XAP-1", "AP"}
    assert {serial for serial in serials if fault.draw(serial, 1) is not None} == matched

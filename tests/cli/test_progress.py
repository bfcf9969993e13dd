import pytest
from examples import desired

from reconciler.cli.progress import lines
from reconciler.model import Applied, Outcome, Snapshot, Unknown
from reconciler.plan.diff import diff


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_every_ten_seconds_a_line_says_how_far_it_is_and_how_long_it_will_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [change] = diff(desired({"AP-1": {"status": "active"}}), Snapshot())
    time = Time()
    show = lines(2000, time)
    outcomes: list[Outcome] = [
        Applied(change, 200, 1),
        Unknown(change, 4, "no answer"),
        *[Applied(change, 200, 1)] * 98,
    ]
    for outcome in outcomes:
        time.now += 0.25
        show(outcome)

    assert capsys.readouterr().err.splitlines() == [
        "40 of 2,000 devices, 1 not applied, about 490 s left",
        "80 of 2,000 devices, 1 not applied, about 480 s left",
    ]


def test_a_run_that_is_over_sooner_says_nothing_on_its_way(capsys: pytest.CaptureFixture[str]) -> None:
    [change] = diff(desired({"AP-1": {"status": "active"}}), Snapshot())
    time = Time()
    show = lines(1, time)
    time.now += 9.9
    show(Applied(change, 200, 1))

    assert capsys.readouterr().err == ""

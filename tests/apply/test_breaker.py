from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.breaker import Breaker


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def breaker(time: Time | None = None, **given: float) -> Breaker:
    numbers = {"low": 4, "high": 16, "threshold": 3, "cooldown": 30.0, "probes": 2} | given
    return Breaker(
        low=int(numbers["low"]),
        high=int(numbers["high"]),
        threshold=int(numbers["threshold"]),
        cooldown=numbers["cooldown"],
        probes=int(numbers["probes"]),
        clock=time or Time(),
    )


def request(one: Breaker, *, failed: bool = False, overloaded: bool = False) -> None:
    assert one.wait() == 0
    one.ended(probe=one.started(), failed=failed, overloaded=overloaded)


def test_the_limit_grows_by_one_for_a_round_of_good_answers_up_to_its_ceiling() -> None:
    one = breaker()
    limits = []
    for _ in range(300):
        request(one)
        limits.append(one.limit)

    assert limits[3] == 4
    assert limits[4] == 5
    assert limits == sorted(limits)
    assert limits[-1] == 16


def test_the_limit_halves_when_the_server_says_too_much_and_never_falls_below_its_floor() -> None:
    one = breaker()
    for _ in range(300):
        request(one)
    limits = []
    for _ in range(4):
        request(one, failed=False, overloaded=True)
        limits.append(one.limit)

    assert limits == [8, 4, 4, 4]


def test_no_more_requests_start_than_the_limit_says() -> None:
    one = breaker()
    for _ in range(4):
        assert one.wait() == 0
        one.started()

    assert one.wait() is None
    one.ended(probe=False, failed=False)
    assert one.wait() == 0


def test_failures_in_a_row_shut_the_circuit_and_one_probe_opens_it() -> None:
    time = Time()
    one = breaker(time)
    for _ in range(3):
        request(one, failed=True)

    assert one.wait() == 30
    time.now = 31
    assert one.wait() == 0
    probe = one.started()
    assert probe
    assert one.wait() is None, "nobody else goes while the probe is out"
    one.ended(probe=probe, failed=False)
    assert one.wait() == 0
    assert not one.started()


def test_failed_probes_wait_longer_each_time_and_then_give_up() -> None:
    time = Time()
    one = breaker(time)
    for _ in range(3):
        request(one, failed=True)
    time.now += 30
    request(one, failed=True)

    assert (one.wait(), one.given_up) == (60, False)
    time.now += 60
    request(one, failed=True)
    assert one.given_up


def test_a_good_answer_in_between_forgives() -> None:
    one = breaker()
    for _ in range(10):
        request(one, failed=True)
        request(one, failed=True)
        request(one)

    assert one.wait() == 0


@given(st.lists(st.sampled_from(["start", "good", "bad", "busy"])))
def test_the_limit_stays_within_its_bounds_and_the_count_of_requests_within_the_limit(steps: list[str]) -> None:
    time = Time()
    one = breaker(time, threshold=1000)
    under_way: list[bool] = []
    for step in steps:
        if step == "start" and one.wait() == 0:
            under_way.append(one.started())
        elif step != "start" and under_way:
            one.ended(probe=under_way.pop(), failed=step == "bad", overloaded=step == "busy")
        assert 4 <= one.limit <= 16
        assert len(under_way) <= 16

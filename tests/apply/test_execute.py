"""The engine against an API that answers as told, with the journal watched."""

import asyncio
import selectors
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeVar, TypeVarTuple

import pytest
from examples import applied, desired

from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.execute import Clock, Execution, Stop
from reconciler.apply.judge import Task
from reconciler.apply.pace import Tempo, Waits
from reconciler.apply.run import pace
from reconciler.canonical import canonical
from reconciler.errors import ApiError, AuthenticationError, ReconcilerError, StateError
from reconciler.model import Applied, Draft, EntryKind, Json, NotAttempted, Outcome, Rejected, Serial, Unknown
from reconciler.plan.diff import diff
from reconciler.state.fold import fold

Reply = Answer | NotSent | NoAnswer
Made = TypeVar("Made")
Given = TypeVarTuple("Given")
REFUSED, LOST = NotSent("connection refused"), NoAnswer("connection broke")


def ok(serial: str) -> Answer:
    return Answer(200, canonical({"serial_number": serial, "vlan": 2}).encode())


def status(code: int, retry_after: str | None = None) -> Answer:
    return Answer(code, b'{"detail": "said so"}', retry_after)


TEMPO = Tempo(
    rate_per_second=1e6,
    burst=1000,
    attempts=4,
    backoff_base=0.5,
    backoff_ceiling=60,
    retry_after_max=300,
    concurrency=4,
    concurrency_min=4,
    retry_budget_pct=10,
    retry_budget_floor=10,
    breaker_failures=1000,
    breaker_cooldown=30,
    breaker_probes=5,
)


class Impatient(selectors.SelectSelector):
    """Never waits for time: `now` counts the seconds that it should have waited. For a thread at work it does wait."""

    now = 0.0
    working = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not timeout:
            return super().select(timeout)
        events = super().select(None if self.working else 0)
        self.now += 0 if events else timeout
        return events


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop on which whoever sleeps finds the time passed, and nothing else takes any."""

    def __init__(self) -> None:
        self._impatient = Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Given], Made], *args: *Given
    ) -> "asyncio.Future[Made]":
        self._impatient.working += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._idle)
        return future

    def _idle(self, _: object) -> None:
        self._impatient.working -= 1


@dataclass
class World:
    """What happened, in order: `intent A`, `put A`, `applied A`, …"""

    replies: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    log: list[str] = field(default_factory=list)
    journal: list[Draft] = field(default_factory=list)
    outcomes: dict[Serial, Outcome] = field(default_factory=dict)
    error: ReconcilerError | None = None
    append: Callable[[Sequence[Draft]], None] | None = None
    on_put: Callable[[Stop], None] = lambda _: None
    unrecorded: list[Draft] = field(default_factory=list)
    tempo: Tempo = TEMPO
    wall: float = 0.0
    latency: float = 0.0
    jitter: float = 0.0
    ahead: int = 0
    under_way: list[int] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    lasted: float = 0.0
    said: list[str] = field(default_factory=list)

    def run(
        self, *serials: str, released: Sequence[str] = (), not_before: float = 0.0, waits_for: str | None = None
    ) -> "World":
        old = {serial: {"vlan": 1} for serial in (*serials, *released)}
        new: dict[str, Mapping[str, Json]] = {serial: {"vlan": 2} for serial in serials}
        changes = diff(desired(new), applied(old))
        changes = tuple(replace(change, waits_for=Serial(waits_for) if waits_for else None) for change in changes)
        tasks = [Task(change, {"vlan": 2} if change.fields else {}, not_before=not_before) for change in changes]
        with asyncio.Runner(loop_factory=VirtualTime) as runner:
            runner.run(self._run(tasks))
        return self

    async def _run(self, tasks: Sequence[Task]) -> None:
        stop = Stop()
        loop = asyncio.get_running_loop()
        began = loop.time()
        open_now: list[str] = []

        async def put(serial: Serial, _: Mapping[str, Json]) -> Reply:
            self.log.append(f"put {serial}")
            self.sent_at.append(self.wall + loop.time() - began)
            self.on_put(stop)
            open_now.append(serial)
            self.under_way.append(len(open_now))
            await asyncio.sleep(self.latency)
            open_now.remove(serial)
            return self.replies[serial].pop(0) if self.replies[serial] else ok(serial)

        def append(drafts: Sequence[Draft]) -> None:
            if self.append:
                self.append(drafts)
            self.journal += drafts
            self.log += [f"{draft.kind} {draft.serial}" for draft in drafts]

        waits = Waits(self.said.append, loop.time)
        execution = Execution(
            tasks,
            put=put,
            append=append,
            pace=pace(self.tempo, waits, clock=loop.time, sleep=stop.sleep),
            waits=waits,
            stop=stop,
            clock=Clock(lambda: self.wall + loop.time() - began, lambda: self.jitter),
            run_id="run",
            tempo=self.tempo,
            ahead=self.ahead,
            progress=lambda _: None,
        )
        await execution.run()
        self.lasted = loop.time() - began
        self.error = stop.error
        self.outcomes, self.unrecorded = execution.outcomes, execution.unrecorded

    def kinds(self) -> dict[str, str]:
        return {serial: type(outcome).__name__ for serial, outcome in self.outcomes.items()}


def test_every_device_gets_one_put_between_its_intent_and_its_outcome() -> None:
    world = World().run("A", "B", "C")

    for serial in ("A", "B", "C"):
        assert [line for line in world.log if line.endswith(serial)] == [
            f"intent {serial}",
            f"put {serial}",
            f"applied {serial}",
        ]


def test_the_first_request_goes_alone() -> None:
    log = World().run("A", "B", "C", "D").log

    assert log.index("applied A") < log.index("put B")


def most_waiting(world: World) -> int:
    """How many intents at most wait for their turn while a request leaves, of a run of twenty devices."""
    waiting: list[int] = []

    def count(_: Stop) -> None:
        kinds = [line.split()[0] for line in world.log]
        waiting.append(kinds.count("intent") - kinds.count("put"))

    world.on_put = count
    world.run(*(f"AP-{number:02}" for number in range(20)))
    assert set(world.kinds().values()) == {"Applied"}
    return max(waiting)


@pytest.mark.parametrize(("rate", "ready"), [(1.0, 1), (8.0, 3), (1e6, 8)])
def test_no_more_intents_than_the_pace_asks_for_wait_for_their_turn(rate: float, ready: int) -> None:
    tempo = replace(TEMPO, rate_per_second=rate, burst=1)
    most = most_waiting(World(tempo=tempo, latency=0.1 / rate, append=lambda _: time.sleep(0.01)))

    assert most <= ready
    assert most > 0 or rate == 1


def test_a_slow_state_is_given_as_many_intents_ahead_as_it_asks_for() -> None:
    tempo = replace(TEMPO, rate_per_second=1, burst=1)

    assert most_waiting(World(tempo=tempo, latency=0.1)) <= 1
    assert most_waiting(World(tempo=tempo, latency=0.1, ahead=6)) in {6, 7}


def test_a_burst_leaves_at_once_and_what_sends_nothing_waits_for_no_slot() -> None:
    world = World(tempo=replace(TEMPO, rate_per_second=0.01, burst=21, concurrency=10))

    world.run(*(f"AP-{number:02}" for number in range(21)), released=[f"OLD-{number:03}" for number in range(300)])

    assert max(world.sent_at) < 1
    assert world.lasted < 1
    assert set(world.kinds().values()) == {"Applied"}


def test_what_is_released_does_not_wait_one_by_one_for_the_first_answer() -> None:
    sizes: list[int] = []
    world = World(append=lambda drafts: sizes.append(len(drafts)))

    world.run("Z", released=[f"A-{number:02}" for number in range(40)])

    assert world.log[:3] == ["intent Z", "put Z", "applied Z"]
    assert max(sizes) > 1


def test_the_first_request_goes_alone_though_all_wait_for_somebody_who_is_no_part_of_the_run() -> None:
    log = World().run("A", "B", "C", "D", waits_for="NEW").log

    assert log.index("applied A") < log.index("put B")


def test_a_release_is_recorded_and_nothing_is_sent() -> None:
    world = World().run(released=["OLD"])

    assert world.log == ["released OLD"]
    assert world.kinds() == {"OLD": "Applied"}


def test_one_dead_device_does_not_stop_the_others() -> None:
    world = World()
    world.replies["B"] = [status(422)]
    world.replies["C"] = [LOST] * 4

    assert world.run("A", "B", "C", "D").kinds() == {"A": "Applied", "B": "Rejected", "C": "Unknown", "D": "Applied"}
    assert world.error is None


def test_trouble_is_asked_again_until_it_passes() -> None:
    world = World()
    world.replies["A"] = [status(503), status(429), REFUSED]

    assert world.run("A").outcomes[Serial("A")] == Applied(world.outcomes[Serial("A")].change, 200, 4, late=True)
    assert world.log.count("intent A") == 1


def test_a_refusal_of_the_request_itself_is_never_asked_again() -> None:
    for code in (400, 404, 422):
        world = World()
        world.replies["A"] = [status(code)]
        assert isinstance(world.run("A").outcomes[Serial("A")], Rejected)
        assert world.log.count("put A") == 1


def test_a_lost_response_is_not_settled_by_a_later_refusal() -> None:
    for later in ([status(422)], [REFUSED] * 3, [status(429)] * 3):
        world = World()
        world.replies["A"] = [LOST, *later]
        assert isinstance(world.run("A").outcomes[Serial("A")], Unknown)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ok("A"), "applied"),
        (Answer(200, b'{"serial_number": "A", "vlan": 3}'), "divergent"),
        (Answer(202, b""), "accepted"),
    ],
)
@pytest.mark.parametrize(
    ("before", "late"), [([status(503)], True), ([NoAnswer("lost")], True), ([status(429)], False), ([REFUSED], False)]
)
def test_an_answer_after_one_that_never_came_is_recorded_as_late(
    answer: Answer,
    kind: str,
    before: list[Reply],
    late: bool,  # noqa: FBT001
) -> None:
    world = World()
    world.replies["A"] = [*before, answer]

    outcome = world.run("A").journal[-1]

    assert (outcome.kind, outcome.data.get("late", False)) == (kind, late)


def test_only_throttled_means_rejected_and_only_unreachable_means_not_attempted() -> None:
    world = World()
    world.replies["B"] = [status(429)] * 4
    world.replies["C"] = [REFUSED] * 4
    world.run("A", "B", "C")

    assert world.kinds() == {"A": "Applied", "B": "Rejected", "C": "NotAttempted"}
    throttled = world.outcomes[Serial("B")]
    assert throttled == Rejected(throttled.change, 429, 4, (("", "said so"),))
    assert fold(world.journal).keys() == {"A"}


def test_a_server_that_cannot_be_reached_at_all_costs_one_device() -> None:
    world = World()
    world.replies["A"] = [REFUSED] * 4
    world.run("A", "B", "C")

    assert isinstance(world.error, ApiError)
    assert set(world.kinds().values()) == {"NotAttempted"}
    assert "put B" not in world.log


def test_a_refused_token_stops_the_run_before_the_second_send() -> None:
    world = World()
    world.replies["A"] = [status(401)]
    world.run("A", "B", "C")

    assert isinstance(world.error, AuthenticationError)
    assert world.kinds() == {"A": "Rejected", "B": "NotAttempted", "C": "NotAttempted"}
    assert [line for line in world.log if line.startswith("put")] == ["put A"]


def test_a_state_that_cannot_be_written_stops_every_send() -> None:
    world = World()

    def full(drafts: Sequence[Draft]) -> None:
        if any(draft.serial != "A" for draft in drafts):
            raise StateError("disk full")

    world.append = full
    world.run("A", "B", "C", "D")

    assert str(world.error) == "disk full"
    assert [line for line in world.log if line.startswith("put")] == ["put A"]
    assert world.kinds() == {"A": "Applied", "B": "NotAttempted", "C": "NotAttempted", "D": "NotAttempted"}


def test_a_stop_lets_what_is_in_flight_finish_and_starts_nothing_new() -> None:
    world = World()
    world.on_put = lambda stop: stop.now("interrupted")
    world.run("A", "B", "C")

    assert isinstance(world.outcomes[Serial("A")], Applied)
    assert world.outcomes[Serial("B")] == NotAttempted(world.outcomes[Serial("B")].change, "interrupted")
    assert [line for line in world.log if line.startswith("put")] == ["put A"]


def test_a_stop_reaches_those_who_wait_for_a_request_to_end() -> None:
    world = World(tempo=replace(TEMPO, concurrency=6, concurrency_min=6), latency=1.0)
    world.on_put = lambda stop: stop.now("interrupted") if len(world.sent_at) == 14 else None
    world.run(*[f"D{number:02}" for number in range(40)])

    assert len(world.sent_at) == 14
    assert sorted(world.kinds().values()) == ["Applied"] * 14 + ["NotAttempted"] * 26


def test_a_stop_ends_the_retries() -> None:
    world = World()
    world.replies["A"] = [LOST] * 4
    world.on_put = lambda stop: stop.now("interrupted")
    world.run("A")

    assert isinstance(world.outcomes[Serial("A")], Unknown)
    assert world.log.count("put A") == 1


def test_what_was_sent_and_lost_is_unknown_in_the_snapshot() -> None:
    world = World()
    world.replies["A"] = [LOST] * 4
    world.run("A")

    state = fold(world.journal)[Serial("A")]
    assert state.unknown is not None
    assert state.unknown.body == {"vlan": 2}


def test_what_was_answered_and_could_not_be_recorded_is_kept() -> None:
    world = World()

    def full(drafts: Sequence[Draft]) -> None:
        if any(draft.kind is EntryKind.APPLIED for draft in drafts):
            raise StateError("disk full")

    world.append = full
    world.run("A", "B")

    assert world.kinds() == {"A": "Applied", "B": "NotAttempted"}
    assert [(draft.kind, draft.serial) for draft in world.unrecorded] == [(EntryKind.APPLIED, "A")]
    assert str(world.error) == "disk full"


def test_a_failing_write_does_not_cut_off_requests_that_are_in_flight() -> None:
    world = World()
    world.append = _failing_after(lambda draft: draft.kind is EntryKind.APPLIED and draft.serial != "A")
    world.run("A", "B", "C", "D", "E", "F")

    sent = [line.split()[1] for line in world.log if line.startswith("put")]
    assert len(sent) > 2, "the fault must strike while others are in flight"
    assert {serial for serial, kind in world.kinds().items() if kind == "Applied"} == set(sent)
    assert {draft.serial for draft in world.unrecorded} == set(sent) - {"A"}


def _failing_after(strikes: Callable[[Draft], bool]) -> Callable[[Sequence[Draft]], None]:
    def append(drafts: Sequence[Draft]) -> None:
        if any(strikes(draft) for draft in drafts):
            raise StateError("disk full")

    return append


def test_five_unknown_serials_at_the_start_end_the_run() -> None:
    serials = [f"D{number}" for number in range(20)]
    world = World()
    for serial in serials:
        world.replies[serial] = [status(404)]
    world.run(*serials)

    assert world.error is None
    puts = [line for line in world.log if line.startswith("put")]
    assert 5 <= len(puts) <= 8, "what is in flight then may finish"
    assert "check api.base_url" in next(
        outcome.reason for outcome in world.outcomes.values() if isinstance(outcome, NotAttempted)
    )


def test_a_known_serial_among_the_first_five_lets_the_run_go_on() -> None:
    serials = [f"D{number}" for number in range(20)]
    world = World()
    for serial in serials[1:]:
        world.replies[serial] = [status(404)]
    world.run(*serials)

    assert sorted(set(world.kinds().values())) == ["Applied", "Rejected"]


def test_a_server_that_fails_everything_costs_no_more_than_the_requests_and_the_budget() -> None:
    """On virtual time: hours of cool-downs pass in a moment."""
    serials = [f"D{number:03}" for number in range(200)]
    world = World(tempo=replace(TEMPO, rate_per_second=5, burst=10, breaker_failures=10))
    for serial in serials:
        world.replies[serial] = [status(503)] * 4
    world.run(*serials)

    puts = sum(line.startswith("put") for line in world.log)
    assert puts <= 200 + 10 + 20
    assert [line.split(": ") for line in world.said] == [
        ["the server fails request after request; one more will try it", f"waiting {seconds} s"]
        for seconds in (30, 60, 120, 240, 480)
    ]
    assert isinstance(world.error, ApiError)
    assert "NotAttempted" in world.kinds().values(), "the breaker must have ended the run"


def test_half_of_all_requests_failing_still_finishes_within_the_budget() -> None:
    serials = [f"D{number:03}" for number in range(200)]
    world = World(tempo=replace(TEMPO, rate_per_second=5, burst=10, breaker_failures=10))
    for serial in serials[::2]:
        world.replies[serial] = [status(503)] * 4
    world.run(*serials)

    puts = sum(line.startswith("put") for line in world.log)
    assert 200 < puts <= 200 + 10 + 24  # a tenth of all requests, retries among them
    assert world.kinds()[serials[1]] == "Applied"
    assert "NotAttempted" not in world.kinds().values()


def test_a_request_that_must_wait_is_not_sent_before_its_time() -> None:
    world = World(wall=1000.0)
    world.run("A", not_before=1035.0)

    assert world.kinds() == {"A": "Applied"}
    assert world.sent_at[0] >= 1035.0
    assert world.said == ["an unanswered request with other values may still arrive: waiting 35 s"]


def test_no_more_requests_are_under_way_than_the_server_bears() -> None:
    serials = [f"D{number:02}" for number in range(60)]
    world = World(tempo=replace(TEMPO, concurrency_min=3, concurrency=6), latency=1.0)
    world.run(*serials)

    assert world.kinds() == dict.fromkeys(serials, "Applied")
    assert max(world.under_way) == 6
    assert world.under_way[1:4] == [1, 2, 3]


def test_a_retry_waits_for_its_back_off_and_for_its_turn() -> None:
    slow = World(tempo=replace(TEMPO, rate_per_second=0.1, burst=1))
    slow.replies["A"] = [status(503)]
    slow.run("A")
    late = World(jitter=0.9)
    late.replies["A"] = [status(503), status(503)]
    late.run("A")

    assert slow.sent_at[1] - slow.sent_at[0] >= 9.9
    assert late.sent_at[1] - late.sent_at[0] >= 0.4
    assert late.sent_at[2] - late.sent_at[1] >= 0.8


def test_retry_after_wins_over_the_back_off() -> None:
    world = World(jitter=0.9, tempo=replace(TEMPO, backoff_base=60))
    world.replies["A"] = [status(503, "2"), status(503)]
    world.run("A")

    asked, guessed = (later - earlier for earlier, later in pairwise(world.sent_at))
    assert asked == pytest.approx(2)
    assert guessed == pytest.approx(54)
    assert world.kinds() == {"A": "Applied"}


def test_retry_after_holds_every_worker() -> None:
    serials = [f"D{number}" for number in range(9)]
    world = World()
    world.replies["D0"] = [status(429, "60")]
    world.run(*serials)

    assert world.kinds() == dict.fromkeys(serials, "Applied")
    assert world.sent_at[1] - world.sent_at[0] >= 60
    assert world.said == ["the server asks for a pause (Retry-After): waiting 60 s"]


@pytest.mark.parametrize("spent", [{"attempts": 1}, {"retry_budget_pct": 0, "retry_budget_floor": 0}])
def test_retry_after_holds_every_worker_even_if_the_device_that_was_told_is_not_tried_again(
    spent: dict[str, Any],
) -> None:
    serials = [f"D{number}" for number in range(9)]
    world = World(tempo=replace(TEMPO, **spent))
    world.replies["D1"] = [status(503, "60")]
    world.latency = 1.0
    world.run(*serials)

    assert world.kinds() == {serial: "Unknown" if serial == "D1" else "Applied" for serial in serials}
    assert min(later - world.sent_at[4] for later in world.sent_at[5:]) >= 60, "four were under way"

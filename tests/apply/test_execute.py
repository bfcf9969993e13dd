"""The engine against an API that answers as told, with the journal watched."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from examples import applied, desired

from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.execute import Clock, Execution, Stop
from reconciler.apply.judge import Task
from reconciler.apply.pace import Pace
from reconciler.canonical import canonical
from reconciler.errors import ApiError, AuthenticationError, ReconcilerError, StateError
from reconciler.model import Applied, Draft, Json, NotAttempted, Outcome, Rejected, Serial, Unknown
from reconciler.plan.diff import diff
from reconciler.state.fold import fold

Reply = Answer | NotSent | NoAnswer
REFUSED, LOST = NotSent("connection refused"), NoAnswer("connection broke")


def ok(serial: str) -> Answer:
    return Answer(200, canonical({"serial_number": serial, "vlan": 2}).encode())


def status(code: int, retry_after: str | None = None) -> Answer:
    return Answer(code, b'{"detail": "said so"}', retry_after)


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

    def run(self, *serials: str, released: Sequence[str] = (), attempts: int = 4) -> "World":
        old = {serial: {"vlan": 1} for serial in (*serials, *released)}
        new: dict[str, Mapping[str, Json]] = {serial: {"vlan": 2} for serial in serials}
        tasks = [Task(change, {"vlan": 2} if change.fields else {}) for change in diff(desired(new), applied(old))]
        asyncio.run(self._run(tasks, attempts))
        return self

    async def _run(self, tasks: Sequence[Task], attempts: int) -> None:
        stop = Stop()

        async def put(serial: Serial, _: Mapping[str, Json]) -> Reply:
            self.log.append(f"put {serial}")
            self.on_put(stop)
            await asyncio.sleep(0)
            return self.replies[serial].pop(0) if self.replies[serial] else ok(serial)

        def append(drafts: Sequence[Draft]) -> None:
            if self.append:
                self.append(drafts)
            self.journal += drafts
            self.log += [f"{draft.kind} {draft.serial}" for draft in drafts]

        execution = Execution(
            tasks,
            put=put,
            append=append,
            pace=Pace(rate=1e6, burst=1000, clock=time.monotonic, sleep=stop.sleep),
            stop=stop,
            clock=Clock(time.time, lambda: "2026-01-01T00:00:00.000Z", lambda: 0.0),
            run_id="run",
            attempts=attempts,
            concurrency=4,
            progress=lambda _: None,
        )
        try:
            await execution.run()
        except ReconcilerError as error:
            self.error = error
        self.error = self.error or stop.error
        self.outcomes = execution.outcomes

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

    assert world.run("A").outcomes[Serial("A")] == Applied(world.outcomes[Serial("A")].change, 200, 4)
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


def test_only_throttled_means_rejected_and_only_unreachable_means_not_attempted() -> None:
    world = World()
    world.replies["B"] = [status(429)] * 4
    world.replies["C"] = [REFUSED] * 4
    world.run("A", "B", "C")

    assert world.kinds() == {"A": "Applied", "B": "Rejected", "C": "NotAttempted"}
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

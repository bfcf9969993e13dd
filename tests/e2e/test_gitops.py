"""The whole way, by running it: the workflows that `init` writes, step by step, between a forge and a server."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gitops_fleet as fleets
import pytest
from actions_runner import Cancel
from conftest import Run as Command
from forge_server import Hub, forge
from gitops_fleet import SERIALS, Fleet, devices

from reconciler.sandbox.server import Sandbox, running

FLEET = "inventory/fleet.yaml"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with forge() as hub:
        yield hub


@pytest.fixture
def server() -> Iterator[Sandbox]:
    """A server of its own for each test: requests that nobody waits for any more would arrive in the next one."""
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def empty(tmp_path: Path, hub: Hub, server: Sandbox, run: Command) -> Fleet:
    """A repository in which there is nothing yet."""
    return fleets.made(tmp_path, hub, server, run)


@pytest.fixture
def begun(empty: Fleet) -> Fleet:
    """What `init` writes and a fleet are on main, without a review, and nothing of it is applied."""
    empty.pushed(fleets.initial(empty))
    return empty


@pytest.fixture
def fleet(empty: Fleet) -> Fleet:
    """A fleet of 24 access points that was applied once, all of them active."""
    applied = empty.applied(empty.changed(fleets.initial(empty)))
    assert applied.conclusion == "success", applied.log
    empty.sandbox.forget_requests()
    return empty


def puts(fleet: Fleet) -> list[str]:
    return [put.serial for put in fleet.sandbox.requests("PUT")]


def test_what_init_writes_takes_devices_from_a_pull_request_to_the_server_and_then_finds_nothing_to_do(
    empty: Fleet,
) -> None:
    pull = empty.opened(fleets.initial(empty))
    planned = empty.planning(pull).job("plan")

    assert planned.conclusion == "success", planned.log
    assert "24 to adopt" in empty.comment(pull.number, "plan")
    assert "24 to adopt" in planned.summary
    assert "::notice file=inventory/fleet.yaml,line=" in planned.log
    assert puts(empty) == []

    run = empty.applying(empty.merged(pull))
    again = run.job("plan")
    assert again.outputs == {"changes": "true"}
    applied = run.job("apply")
    assert applied.conclusion == "success", applied.log
    assert sorted(puts(empty)) == SERIALS
    assert "24 applied" in empty.comment(pull.number, "apply")
    assert "24 applied" in applied.summary
    assert empty.sandbox.token not in applied.log + planned.log
    empty.keeps_the_law()


def test_where_nothing_changes_nobody_is_asked(fleet: Fleet) -> None:
    commit = fleet.changed({"README.md": "The access points of building A.\n"})
    run = fleet.applying(commit)

    assert run.job("plan").outputs == {"changes": "false"}
    assert run.job("apply").conclusion == "skipped"
    fleet.keeps_the_law()


def test_what_nobody_reviewed_is_not_sent(empty: Fleet) -> None:
    applied = empty.applied(empty.pushed(fleets.initial(empty)))

    assert (applied.conclusion, applied.code) == ("failure", 5)
    assert "no plan was reviewed" in applied.log
    assert puts(empty) == []


def test_what_a_guard_refuses_is_neither_asked_for_nor_sent(fleet: Fleet) -> None:
    pull = fleet.opened(
        {FLEET: None, "inventory/one.yaml": json.dumps({"serial_number": SERIALS[0], "status": "active"})}
    )
    planned = fleet.planning(pull).job("plan")
    assert (planned.conclusion, planned.code) == ("failure", 6)
    assert "Refused by `max_released_pct`" in fleet.comment(pull.number, "plan")

    run = fleet.applying(fleet.merged(pull))
    assert run.job("plan").code == 6
    assert run.job("apply").conclusion == "skipped"
    assert puts(fleet) == []


def test_an_old_job_that_is_run_again_rolls_nothing_back(fleet: Fleet) -> None:
    older = fleet.changed({FLEET: devices("maintenance")})
    old = fleet.applying(older)
    assert old.job("plan").outputs == {"changes": "true"}
    assert old.job("apply").conclusion == "success"
    newer = fleet.changed({FLEET: devices("active")})
    assert fleet.applied(newer).conclusion == "success"
    fleet.sandbox.forget_requests()

    again = old.job("apply")

    assert (again.conclusion, again.code) == ("failure", 5)
    assert puts(fleet) == []
    assert "newer" in again.log
    fleet.keeps_the_law()


def test_of_two_applies_at_once_one_waits_and_finds_it_done(fleet: Fleet) -> None:
    commit = fleet.changed({FLEET: devices("active", location="Building B")})
    runs = [fleet.applying(commit), fleet.applying(commit)]
    for run in runs:
        assert run.job("plan").outputs == {"changes": "true"}
    fleet.sandbox.faults("latency=150ms")
    with ThreadPoolExecutor(2) as both:
        ended = list(both.map(lambda run: run.job("apply"), runs))

    assert sorted(job.code for job in ended) in ([0, 0], [0, 5])
    assert any("waiting up to 120 s" in job.log for job in ended), "they did not meet"
    assert sorted(puts(fleet)) == SERIALS, "no device was sent twice"
    for run, job in zip(runs, ended, strict=True):
        assert job.code == 0 or run.job("apply").code == 0
    fleet.keeps_the_law()


@pytest.mark.parametrize(
    ("fault", "interrupted", "terminated", "needed"),
    [
        ("latency=150ms", 7.5, 2.5, ["SIGINT"]),
        ("latency=60s:serial=AP-03", 1.5, 10, ["SIGINT", "SIGTERM"]),
        ("latency=60s:serial=AP-03", 0.2, 0, ["SIGINT", "SIGTERM", "SIGKILL"]),
    ],
    ids=["in time", "late", "too late"],
)
def test_an_apply_that_was_cancelled_midway_is_finished_by_running_it_again(
    fleet: Fleet, fault: str, interrupted: float, terminated: float, needed: list[str]
) -> None:
    run = fleet.applying(fleet.changed({FLEET: devices("active", location="Building B")}))
    assert run.job("plan").outputs == {"changes": "true"}
    fleet.sandbox.faults(fault)
    cancelled = run.job("apply", cancel=Cancel(lambda: len(puts(fleet)) >= 6, interrupted, terminated))

    assert cancelled.signals == needed
    assert (cancelled.conclusion, cancelled.code) == ("cancelled", -9 if "SIGKILL" in needed else 130), cancelled.log
    assert 6 <= len(puts(fleet)) < len(SERIALS)
    fleet.sandbox.faults()

    again = run.job("apply")
    assert again.conclusion == "success", again.log
    assert set(puts(fleet)) == set(SERIALS)
    fleet.keeps_the_law()


HOSTILE = [
    "```\n</details><img src=x onerror=alert(1)>",
    "::error title=owned::owned",
    "##[error]owned",
    "::stop-commands::owned",
    "@everyone #1 <!-- reconciler plan default -->",
    "${{ secrets.RECONCILER_TOKEN }} $(id) `id`",
    "~~~\n# owned\n[x](javascript:alert(1))",
]


def test_a_fork_gets_everything_but_a_comment_and_nothing_that_it_writes_is_carried_out(begun: Fleet) -> None:
    files: dict[str, str | None] = {
        f"inventory/%0A::error::{number}.yaml": json.dumps({"serial_number": f"EVIL-{number}", "name": name}, indent=1)
        for number, name in enumerate(HOSTILE)
    }
    pull = begun.opened(files, fork=True)
    before = list(begun.hub.notes)
    run = begun.planning(pull, token=begun.hub.reader)
    planned = run.job("plan")

    assert planned.conclusion == "success", planned.log
    assert begun.hub.notes == before, "its token may only read"
    assert any(asked[0] == "POST" and "comments" in asked[1] for asked in begun.hub.asked), "it never tried"
    assert "EVIL-3" in planned.summary
    assert "31 to adopt" in planned.summary
    assert puts(begun) == []
    commands = [line for line in planned.log.splitlines() if re.match(r"\s*::|.*##\[", line)]
    assert commands
    assert {line.split(" ")[0] for line in commands} == {"::notice"}
    assert not [line for line in commands if "title=owned" in line.split("::")[1]]
    inert(planned.summary)


def test_a_hostile_name_is_inert_in_the_comment_of_those_who_may_comment(begun: Fleet) -> None:
    evil = [{"serial_number": f"EVIL-{number}", "name": name} for number, name in enumerate(HOSTILE)]
    pull = begun.opened({"inventory/evil.yaml": json.dumps({"devices": evil}, indent=1)})
    assert begun.planning(pull).job("plan").conclusion == "success"

    inert(begun.comment(pull.number, "plan"))


def inert(markdown: str) -> None:
    """What is hostile is within fences, none of which it ends."""
    outside, fence = [], ""
    for line in markdown.splitlines():
        found = re.match(r"(`{3,}|~{3,})", line)
        if found and not fence:
            fence = found[1]
        elif fence and re.fullmatch(re.escape(fence) + r"\s*", line):
            fence = ""
        elif not fence:
            outside.append(line)
    assert fence == ""
    assert "EVIL-3" in markdown
    assert not re.search(r"EVIL|owned|onerror|everyone|secrets\.|javascript", "\n".join(outside))


def test_characters_that_deceive_a_reviewer_stop_a_fork_at_their_line(begun: Fleet) -> None:
    pull = begun.opened({"inventory/evil.yaml": 'serial_number: EVIL-1\nname: "good\\u202Elive"\n'}, fork=True)
    planned = begun.planning(pull, token=begun.hub.reader).job("plan")

    assert (planned.conclusion, planned.code) == ("failure", 1)
    assert "::error file=inventory/evil.yaml,line=2" in planned.log
    assert "\u202e" not in planned.log + planned.summary


def test_a_plan_that_a_pull_request_brings_along_is_not_kept_as_the_one_that_was_reviewed(begun: Fleet) -> None:
    forged = begun.opened({"plan.json": '{"forged": true}', "inventory/broken.yaml": "serial_number: 7\n"}, fork=True)
    planned = begun.planning(forged, token=begun.hub.reader).job("plan")
    assert (planned.conclusion, planned.code) == ("failure", 1)
    assert begun.hub.artifacts == []

    pull = begun.opened({"plan.json": '{"forged": true}'}, fork=True)
    assert begun.planning(pull, token=begun.hub.reader).job("plan").conclusion == "success"
    applied = begun.applied(begun.merged(pull))
    assert (applied.conclusion, applied.code) == ("success", 0), applied.log
    assert "reviewed in #2 (no comment of ours there to compare with)" in applied.log
    begun.keeps_the_law()

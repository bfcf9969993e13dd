"""`--profile`: what the stages of a run took, as trace events that the usual viewers read."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, FIRST, Declare, Run, clean_environ, wait_for_line

from reconciler.cli.profile import Profile
from reconciler.cli.watching import Both
from reconciler.sandbox.server import Sandbox
from reconciler.watch import SILENT

Event = dict[str, Any]


def events(document: dict[str, Any]) -> list[Event]:
    """The complete events; each has what the format asks for."""
    found = [event for event in document["traceEvents"] if event["ph"] == "X"]
    for event in found:
        assert event.keys() == {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"}
        assert all(type(event[key]) is int and event[key] >= 0 for key in ("ts", "dur", "pid", "tid"))
    return found


def nests(found: list[Event]) -> bool:
    """Whether any two events of a process lie in each other or beside each other."""

    def apart_or_within(one: Event, other: Event) -> bool:
        a, b, c, d = one["ts"], one["ts"] + one["dur"], other["ts"], other["ts"] + other["dur"]
        return bool(b <= c or d <= a or (a <= c and d <= b) or (c <= a and b <= d))

    return all(apart_or_within(one, other) for one in found for other in found if one["pid"] == other["pid"])


def names(file: Path) -> list[str]:
    found = events(json.loads(file.read_bytes()))
    assert nests(found)
    return [event["name"] for event in found]


def test_a_plan_tells_its_stages_in_order_from_the_start_of_the_process(
    declare: Declare, run: Run, tmp_path: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("--profile", "trace.json", "plan")

    assert (ran.code, ran.stderr) == (0, f"{FIRST}Carry it out with: reconciler apply\n")
    assert names(tmp_path / "trace.json") == [
        "reconciler plan",
        "start-up",
        "list",
        "state",
        "compare",
        "read",
        "check",
        "sort",
        "guard",
        "report",
    ]
    found = events(json.loads((tmp_path / "trace.json").read_bytes()))
    [whole, start, read] = [event for event in found if event["name"] in {"reconciler plan", "start-up", "read"}]
    assert whole["ts"] == start["ts"] == 0
    assert start["dur"] > 0
    assert read["args"]["files"] == read["args"]["total"] == 1


def test_an_apply_tells_what_it_sent_and_how_often_it_tried_again(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1", "AP-2")
    sandbox.faults("error-before-commit:first=1,serial=AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-3", status="active")
    ran = run("--profile", "trace.json", "apply", "--auto-approve", environ=sandbox.environ)

    assert ran.code == 3
    found = events(json.loads((tmp_path / "trace.json").read_bytes()))
    [sent] = [event["args"] for event in found if event["name"] == "apply"]
    assert (sent["devices"], sent["total"], sent["retried"], sent["not applied"]) == (2, 2, 1, 1)


def test_a_run_that_fails_is_told_as_far_as_it_came(declare: Declare, run: Run, tmp_path: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="wrong")
    ran = run("--profile", "trace.json", "plan")

    assert ran.code == 1
    assert names(tmp_path / "trace.json") == [
        "reconciler plan",
        "start-up",
        *["list", "state", "compare", "read", "check"],
    ]


def test_a_run_that_is_interrupted_is_told_as_far_as_it_came(
    declare: Declare, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1", "AP-2")
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 0.01\nburst = 1\n")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    process = subprocess.Popen(
        [COMMAND, "-v", "--profile", "trace.json", "apply", "--auto-approve"],
        cwd=tmp_path,
        env={**clean_environ(), **sandbox.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    wait_for_line(process, "PUT AP-1  200")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert process.returncode == 130
    assert names(tmp_path / "trace.json")[-1] == "apply"


@pytest.mark.parametrize("place", ["nowhere/trace.json", "inventory"])
def test_a_profile_that_cannot_be_written_stops_the_run_before_it_begins(
    place: str, declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("--profile", place, "apply", "--auto-approve", environ=sandbox.environ)

    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"error: {place}: the profile cannot be written: ")
    assert sandbox.requests() == ()


def test_a_disk_that_fills_up_costs_the_profile_and_not_the_run(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("--profile", "/dev/full", "validate")

    assert ran.code == 0
    assert ran.stderr == "warning: /dev/full: the profile is not whole: No space left on device\n"


def test_stages_within_stages_nest_and_workers_have_tracks_of_their_own() -> None:
    profile = Profile()
    with profile.stage("read", 2, "files") as advance:
        with profile.stage("list"):
            pass
        profile.took("parse", time.monotonic(), 0.001, 4242)
        profile.took("parse", time.monotonic() + 0.002, 0.001, 4243)
        advance(2)
    document = profile.document("reconciler plan")

    found = events(document)
    assert nests(found)
    assert [(event["name"], event["pid"]) for event in found if event["pid"] != os.getpid()] == [
        ("parse", 4242),
        ("parse", 4243),
    ]
    assert [event["name"] for event in found if event["pid"] == os.getpid()] == [
        "reconciler plan",
        "start-up",
        "read",
        "list",
    ]
    named = {event["pid"]: event["args"]["name"] for event in document["traceEvents"] if event["ph"] == "M"}
    assert named == {os.getpid(): "reconciler", 4242: "worker", 4243: "worker"}


def test_two_that_watch_hear_the_same() -> None:
    one, other = Profile(), Profile()
    watch = Both(one, Both(SILENT, other))
    with watch.stage("apply", 3, "devices") as advance:
        advance(2)
        watch.count("retried")
        watch.took("send", time.monotonic(), 0.5, 4242)

    for profile in (one, other):
        [parent] = [event for event in events(profile.document("")) if event["name"] == "apply"]
        assert (parent["args"]["devices"], parent["args"]["retried"]) == (2, 1)
        assert [event["pid"] for event in events(profile.document("")) if event["name"] == "send"] == [4242]

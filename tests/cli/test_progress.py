"""What a run tells while it is on its way: nothing for a moment, then how far it is."""

import subprocess
import sys
from typing import ClassVar

import pytest
from conftest import Declare, Run

from reconciler.cli.progress import Lines, Progress, Stage, shown
from reconciler.sandbox.server import Sandbox


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_says_how_far_a_stage_is_how_fast_and_how_long_it_will_take() -> None:
    time = Time()
    watch = Progress(time)
    with watch.stage("apply", 2000, "devices") as advance:
        [stage] = watch.stages
        assert stage.said(time.now) == "2,000 devices"

        time.now += 10
        advance(40)
        watch.count("not applied")
        watch.count("retried", 3)

        assert stage.said(time.now) == "40 of 2,000 devices, 4.0/s, 1 not applied, 3 retried, about 8 min left"

        advance(1760)

        assert stage.said(time.now) == "1,800 of 2,000 devices, 180.0/s, 1 not applied, 3 retried, about 1 s left"
    assert watch.stages == []


def test_of_one_device_it_speaks_as_of_one() -> None:
    stage = Stage("apply", 1, "devices", 0.0)

    assert stage.said(10.0) == "1 device"
    stage.advance(1)
    assert stage.said(10.0) == "1 of 1 device, 0.1/s"
    assert Stage("read", 2, "files", 0.0, done=1).said(10.0) == "1 of 2 files, 0.1/s, about 10 s left"


def test_what_is_left_is_not_told_from_the_first_few_of_many() -> None:
    stage = Stage("read", 7_224, "files", 0.0, done=14)

    assert stage.said(10.0) == "14 of 7,224 files, 1.4/s"
    assert stage.said(30.0).endswith("about 258 min left")
    stage.advance(100)
    assert stage.said(10.0) == "114 of 7,224 files, 11.4/s, about 10 min left"


def test_a_stage_of_unknown_length_says_how_long_it_has_taken_or_how_much_is_done() -> None:
    stage = Stage("state", None, "", 100.0)

    assert stage.said(112.4) == "12 s"
    stage.advance(30)
    assert stage.said(110.0) == "30, 3.0/s"


def test_what_is_said_is_about_the_innermost_stage() -> None:
    watch = Progress(Time())
    with watch.stage("read", 2, "files"), watch.stage("parse", 7, "files") as advance:
        advance(1)
        watch.count("retried")

        assert [(stage.name, stage.done, stage.counts) for stage in watch.stages] == [
            ("read", 0, {}),
            ("parse", 1, {"retried": 1}),
        ]


def test_a_stage_that_hangs_is_told_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    class Often(Lines):
        after: ClassVar[float] = 0.0
        every: ClassVar[float] = 0.001
        told = 0

        def show(self, stage: Stage, now: float) -> None:
            super().show(stage, now)
            self.told += 1

    watch, display, time = Progress(Time()), Often(), Time()
    with shown(watch, display, time), watch.stage("state"):
        while display.told < 3:
            time.now += 1

    assert capsys.readouterr().err.count("state: ") >= 3


FORKS = """
import os
from threading import Event, Thread
from time import sleep

from reconciler.cli.progress import _DRAWING

drawing = Event()


def draw():
    with _DRAWING:
        drawing.set()
        sleep(0.3)


Thread(target=draw).start()
drawing.wait()
pid = os.fork()
if not pid:
    os._exit(0 if _DRAWING.acquire(timeout=1) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), _DRAWING.acquire(timeout=1))
"""


def test_a_process_that_is_forked_while_a_bar_is_drawn_can_draw_itself() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, encoding="utf-8", check=False)

    assert (done.stdout, done.stderr) == ("0 True\n", "")


def test_a_run_that_is_over_sooner_says_nothing_on_its_way(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")

    assert run("apply", "--auto-approve", environ=sandbox.environ).stderr == ""

"""`ci plan` against a simulated forge: what a pull request gets to see, and what it can do about it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import FIRST, Declare, Ran, Run
from forge_server import Hub, forge

HEAD, NEXT = "a" * 40, "b" * 40
MARKER = "<!-- reconciler plan default -->"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with forge() as running:
        running.pull(7, head=HEAD)
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the runner keeps its files."""
    (tmp_path / "runner").mkdir()
    return tmp_path / "runner"


def planned(run: Run, hub: Hub, place: Path, *more: str, head: str = HEAD, token: str | None = None) -> Ran:
    found: Ran = run("ci", "plan", *more, environ=hub.environ(7, head=head, files=place, token=token))
    return found


def test_a_pull_request_gets_a_comment_annotations_a_summary_outputs_and_a_plan_file(
    declare: Declare, run: Run, hub: Hub, place: Path, tmp_path: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = planned(run, hub, place)

    assert (ran.code, ran.stderr) == (0, FIRST)
    [comment] = hub.comments(7)
    plan = json.loads((tmp_path / "plan.json").read_text())
    lines = comment.splitlines()
    assert lines[:2] == [MARKER, f"<!-- head {HEAD} digest {plan['digest']} -->"]
    assert lines[2] == "### Plan: 1 to adopt, 0 to update, 0 to release. 0 unchanged."
    assert "```diff" in lines
    assert '+     status  "active"  :3' in lines
    assert '<a href="https://example.com/example/fleet/actions/runs/4711">run</a>' in comment
    summary = (place / "summary.md").read_text()
    assert summary.startswith("### Plan: 1 to adopt")
    assert '"active"' in summary
    assert re.search(r"(?m)^::notice file=inventory/a.yaml,line=1,col=1,title=Changes 1 device::\+ ", ran.stdout)
    outputs = dict(line.split("=", 1) for line in (place / "output").read_text().splitlines())
    assert outputs == {
        "changes": "true",
        "digest": plan["digest"],
        "summary": "Plan: 1 to adopt, 0 to update, 0 to release. 0 unchanged.",
    }


def test_a_second_plan_edits_the_comment_and_adds_none(declare: Declare, run: Run, hub: Hub, place: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    for number in range(150):
        hub.comment(7, "somebody", f"comment {number}")
    assert planned(run, hub, place).code == 0
    declare("a.yaml", serial_number="AP-1", status="inactive")
    hub.pull(7, head=NEXT)
    assert planned(run, hub, place, head=NEXT).code == 0

    [comment] = [body for body in hub.comments(7) if body.startswith(MARKER)]
    assert f"<!-- head {NEXT} " in comment
    assert '"inactive"' in comment
    assert "Outdated" not in comment


def test_each_target_has_a_comment_of_its_own(declare: Declare, run: Run, hub: Hub, place: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    assert planned(run, hub, place, "--name", "north").code == 0
    assert planned(run, hub, place, "--name", "nor").code == 0
    assert planned(run, hub, place, "--name", "north").code == 0

    assert [body.splitlines()[0] for body in hub.comments(7)] == [
        "<!-- reconciler plan north -->",
        "<!-- reconciler plan nor -->",
    ]
    assert "Target: `north`" in hub.comments(7)[0]
    assert "artifact reconciler-plan-north" in hub.comments(7)[0]


def test_a_marker_in_the_comment_of_somebody_else_is_nothing(declare: Declare, run: Run, hub: Hub, place: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    planted = f"{MARKER}\n<!-- head {HEAD} digest {'0' * 64} -->\nnothing to see"
    hub.comment(7, "fork-author", planted)
    hub.comment(7, hub.login, f"quoting you:\n{planted}")
    assert planned(run, hub, place).code == 0

    assert hub.comments(7)[0] == planted
    assert len(hub.comments(7)) == 3


@pytest.mark.parametrize("token", ["reader", "none", "wrong"])
def test_a_token_that_may_only_read_costs_the_comment_and_nothing_else(
    token: str, declare: Declare, run: Run, hub: Hub, place: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = planned(run, hub, place, token={"reader": hub.reader, "none": "", "wrong": "nonsense"}[token])

    assert (ran.code, hub.comments(7)) == (0, [])
    [_, remark] = ran.stderr.splitlines()
    assert remark.startswith("no comment: ")
    assert (place / "summary.md").read_text().startswith("### Plan: 1 to adopt")
    assert "::notice " in ran.stdout


def test_an_older_run_that_ends_later_does_not_speak_over_the_newer(
    declare: Declare, run: Run, hub: Hub, place: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    assert planned(run, hub, place).code == 0
    hub.pull(7, head=NEXT)
    ran = planned(run, hub, place)

    assert (ran.code, "no comment: the head is bbbbbbbbbbbb by now" in ran.stderr) == (0, True)
    [comment] = hub.comments(7)
    assert "> **Outdated**: this is about aaaaaaaaaaaa, and the head is bbbbbbbbbbbb now." in comment
    assert planned(run, hub, place, head=NEXT).code == 0
    assert "Outdated" not in hub.comments(7)[0]


def test_problems_are_annotations_and_take_the_place_of_the_plan(
    declare: Declare, run: Run, hub: Hub, place: Path
) -> None:
    declare("a.yaml", "devices:\n" + "".join(f"  - {{serial_number: AP-{n}, status: broken}}\n" for n in range(14)))
    ran = planned(run, hub, place)

    errors = [line for line in ran.stdout.splitlines() if line.startswith("::error ")]
    assert ran.code == 1
    assert len(errors) == 10
    assert errors[-1].startswith("::error title=5 more::5 more problems")
    [comment] = hub.comments(7)
    assert f"<!-- head {HEAD} digest none -->\n### No plan: the inventory has problems" in comment
    assert "inventory/a.yaml:2:" in comment
    assert "14 problems in 1 file." in (place / "summary.md").read_text()


def test_a_plan_that_a_guard_refuses_is_commented_and_exits_with_6(
    declare: Declare, run: Run, hub: Hub, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text("[guard]\nmax_adopted = 0\n")
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = planned(run, hub, place)

    assert ran.code == 6
    assert "refused by max_adopted" in ran.stderr
    assert "**Refused by `max_adopted`: it will not be applied like this.**" in hub.comments(7)[0]


def test_what_the_forge_answers_too_late_or_wrongly_is_asked_again(
    declare: Declare, run: Run, hub: Hub, place: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    hub.limited = [{"Retry-After": "0"}, {"Retry-After": "0"}]
    assert planned(run, hub, place).code == 0
    assert (hub.limited, len(hub.comments(7))) == ([], 1)


def test_a_forge_that_is_down_costs_the_comment_and_nothing_else(
    declare: Declare, run: Run, hub: Hub, place: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    hub.limited = [{"Retry-After": "9999"}] * 9
    ran = planned(run, hub, place)

    assert (ran.code, hub.comments(7)) == (0, [])
    assert "no comment: " in ran.stderr


def test_the_token_goes_to_no_log_and_no_comment(declare: Declare, run: Run, hub: Hub, place: Path) -> None:
    declare("a.yaml", serial_number="AP-1", name=hub.token)
    ran = planned(run, hub, place)

    assert ran.code == 0
    for told in (ran.stderr, hub.comments(7)[0], (place / "summary.md").read_text()):
        assert hub.token not in told
    assert "(token)" in hub.comments(7)[0]


HOSTILE = '"]}\n```\n</details>\n<img src=x> @everyone #1 ${{ secrets.X }} ::error::x\n##[add-mask]y \x1b[31m \u202e'


def test_nothing_that_a_device_is_called_is_more_than_text(declare: Declare, run: Run, hub: Hub, place: Path) -> None:
    declare(
        "a.yaml",
        serial_number="AP-1",
        name="``` " + re.sub(r"[\x1b\u202e\n]", " ", HOSTILE),
        configuration={HOSTILE.replace("\x1b", "").replace("\u202e", ""): 1},
    )
    ran = planned(run, hub, place)

    assert ran.code == 0, ran.stderr
    [comment] = hub.comments(7)
    for text in (comment, (place / "summary.md").read_text()):
        outside = re.sub(r"(?ms)^(`{3,})diff$.*?^\1$", "", text)
        assert "everyone" in text
        assert not re.search(r"everyone|img|secrets|add-mask|#1", outside)
    for line in ran.stdout.splitlines():
        assert "##[" not in line or line.startswith("::notice ")
        assert not line.strip().startswith("::") or line.startswith("::notice ")


def test_without_a_job_there_is_nothing_to_tell(run: Run) -> None:
    ran = run("ci", "plan")

    assert ran.code == 64
    assert "neither GITHUB_ACTIONS nor GITLAB_CI is true" in ran.stderr
    half = run("ci", "plan", environ={"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "example/fleet"})
    assert (half.code, "GITHUB_SHA is not set" in half.stderr) == (64, True)


def test_an_annotation_finds_its_line_where_the_settings_are_in_a_folder_of_the_repository(
    declare: Declare, run: Run, hub: Hub, place: Path, tmp_path: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    (tmp_path / "reconciler.toml").touch()
    environ = hub.environ(7, head=HEAD, files=place) | {"GITHUB_WORKSPACE": str(tmp_path.parent)}

    assert f"::notice file={tmp_path.name}/inventory/a.yaml,line=1," in run("ci", "plan", environ=environ).stdout
    declare("a.yaml", serial_number="AP-1", status="broken")
    assert f"::error file={tmp_path.name}/inventory/a.yaml,line=3," in run("ci", "plan", environ=environ).stdout

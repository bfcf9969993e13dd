"""`apply --reviewed`: what was read in the pull request is what is sent, or a part of it."""

import json
from pathlib import Path

import pytest
from conftest import Declare, Run

from reconciler.sandbox.server import Sandbox


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 1000\nburst = 100\n")


def digest(tmp_path: Path) -> str:
    found: str = json.loads((tmp_path / "p.json").read_text())["digest"]
    return found


@pytest.fixture
def reviewed(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    """AP-1 and AP-2 are to be adopted, and p.json is the plan that says so."""
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    assert run("plan", "--out", "p.json").code == 0


@pytest.mark.usefixtures("reviewed")
def test_what_was_reviewed_is_applied_without_asking(run: Run, sandbox: Sandbox) -> None:
    ran = run("apply", "--reviewed", "p.json", environ=sandbox.environ)

    assert (ran.code, "Apply: 2 applied" in ran.stdout) == (0, True)
    assert run("apply", "--reviewed", "p.json", environ=sandbox.environ).code == 0


@pytest.mark.usefixtures("reviewed")
def test_a_part_of_what_was_reviewed_is_applied(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    assert run("apply", "--auto-approve", "--target", "AP-1", environ=sandbox.environ).code == 0
    by_digest = run("apply", "--reviewed", digest(tmp_path), environ=sandbox.environ)

    assert (by_digest.code, len(sandbox.requests())) == (5, 1)
    assert "--reviewed FILE" in by_digest.stderr
    assert run("apply", "--reviewed", "p.json", environ=sandbox.environ).code == 0
    assert run("apply", "--reviewed", digest(tmp_path), environ=sandbox.environ).code == 0


@pytest.mark.usefixtures("reviewed")
def test_a_digest_is_enough_for_the_same_plan(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    assert run("apply", "--reviewed", digest(tmp_path), environ=sandbox.environ).code == 0
    assert len(sandbox.requests()) == 2


@pytest.mark.usefixtures("reviewed")
def test_what_was_not_reviewed_is_shown_and_nothing_is_sent(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    declare("b.yaml", serial_number="AP-2", status="active", name="after the review")
    ran = run("apply", "--reviewed", "p.json", environ=sandbox.environ)

    assert (ran.code, sandbox.requests()) == (5, ())
    told = ran.stderr[ran.stderr.index("Not reviewed:") :]
    assert '+ name  "after the review"' in told
    assert "status" not in told
    assert "AP-1" not in told
    assert "error: 1 device would get what was not reviewed; nothing was sent" in told


@pytest.mark.usefixtures("reviewed")
def test_after_a_lost_answer_the_same_review_is_enough(run: Run, sandbox: Sandbox) -> None:
    sandbox.faults("drop-after-commit")
    first = run("apply", "--reviewed", "p.json", "--max-duration", "2s", environ=sandbox.environ)
    assert first.code != 0
    assert any("drop-after-commit" in put.faults for put in sandbox.requests("PUT"))
    sandbox.faults()

    assert run("apply", "--reviewed", "p.json", environ=sandbox.environ).code == 0
    assert run("plan").stdout.startswith("No changes.")


def test_a_review_and_a_plan_file_are_one_too_many(run: Run) -> None:
    assert run("apply", "p.json", "--reviewed", "q.json").code == 64

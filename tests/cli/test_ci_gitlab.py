"""`ci` in a job of GitLab: notes, code quality, and the plan that was reviewed in the merge request."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import FIRST, Declare, Run, clean_environ
from forge_server import Hub, forge

from reconciler.sandbox.server import Sandbox

HEAD = "a" * 40


@pytest.fixture
def lab() -> Iterator[Hub]:
    with forge() as running:
        running.login = "fleet-bot"
        running.pull(7, head=HEAD)
        yield running


def environ(lab: Hub, *, commit: str, number: int | None = None) -> dict[str, str]:
    request = {"CI_MERGE_REQUEST_IID": str(number)} if number else {"CI_COMMIT_BRANCH": "main"}
    return {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{lab.url}/api/v4",
        "CI_PROJECT_ID": "42",
        "CI_COMMIT_SHA": commit,
        "CI_JOB_ID": "4711",
        "CI_JOB_URL": "https://example.com/fleet/-/jobs/4711",
        "GITLAB_TOKEN": lab.token,
        **request,
    }


def git(place: Path, *arguments: str) -> str:
    names = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = clean_environ() | names | {"GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(
        ["git", *arguments], cwd=place, env=env, capture_output=True, check=True, encoding="utf-8"
    ).stdout.strip()


def test_a_merge_request_is_planned_reviewed_merged_and_applied(
    declare: Declare, run: Run, lab: Hub, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active", name="@all\n!1")
    planned = run("ci", "plan", environ=environ(lab, commit=HEAD, number=7))

    assert (planned.code, planned.stderr) == (0, FIRST)
    assert planned.stdout.startswith("+ adopt")
    [note] = lab.comments(7)
    assert note.startswith(f"<!-- reconciler plan default -->\n<!-- head {HEAD} digest ")
    [found] = json.loads((tmp_path / "gl-code-quality-report.json").read_text())
    assert (found["severity"], found["location"]["path"]) == ("info", "inventory/a.yaml")
    assert found["description"].startswith("Changes 1 device: + AP-1")

    lab.keep(tmp_path / "plan.json", head=HEAD)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", "inventory")
    git(tmp_path, "commit", "--quiet", "--message", "x")
    merged = git(tmp_path, "rev-parse", "HEAD")
    lab.merge(7, merged)
    ran = run("ci", "apply", environ=environ(lab, commit=merged) | dict(sandbox.environ))

    assert (ran.code, "reviewed in #7" in ran.stderr) == (0, True), ran.stderr
    assert sandbox.device("AP-1")["status"] == "active"
    assert lab.comments(7)[1].startswith("<!-- reconciler apply default -->\n### Applied\n")


def test_problems_are_in_the_report_of_code_quality(declare: Declare, run: Run, lab: Hub, tmp_path: Path) -> None:
    declare("a.yaml", serial_number="AP-1", status="broken")
    ran = run("ci", "plan", environ=environ(lab, commit=HEAD, number=7))

    assert ran.code == 1
    [found] = json.loads((tmp_path / "gl-code-quality-report.json").read_text())
    assert (found["severity"], found["check_name"], found["location"]) == (
        "major",
        "RC406",
        {"path": "inventory/a.yaml", "lines": {"begin": 3}},
    )
    assert "No plan: the inventory has problems" in lab.comments(7)[0]
    assert "::" not in ran.stdout


@pytest.mark.parametrize("missing", ["CI_API_V4_URL", "CI_PROJECT_ID", "CI_COMMIT_SHA"])
def test_a_variable_that_is_missing_is_named(missing: str, run: Run, lab: Hub) -> None:
    ran = run("ci", "plan", environ={**environ(lab, commit=HEAD), missing: ""})

    assert (ran.code, f"{missing} is not set" in ran.stderr) == (64, True)

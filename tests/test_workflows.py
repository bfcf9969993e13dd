"""What zizmor and actionlint cannot know about our workflows: which of them may hold a secret, and why."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.sandbox.server import Sandbox

FOLDER = Path(__file__).parent.parent / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]
    return found


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(file).values() for step in job["steps"]]


@each_file
def test_every_run_block_is_a_shell_script_without_expressions(file: Path) -> None:
    scripts = [step["run"] for step in steps(file) if "run" in step]

    assert scripts
    for script in scripts:
        assert "${{" not in script, "pass values through env: text from outside is no shell code"
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, encoding="utf-8", check=False)
        assert (done.returncode, done.stderr) == (0, "")


@each_file
def test_every_action_is_pinned_to_a_commit_and_names_its_version(file: Path) -> None:
    used = re.findall(r"(?m)^ +(?:- )?uses: (.+)$", file.read_text())

    assert len(used) == sum("uses" in step for step in steps(file)) > 0
    assert [use for use in used if not re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


@each_file
def test_every_action_has_one_version_in_all_workflows(file: Path) -> None:
    pins = {pin for other in FILES for pin in re.findall(r"uses: actions/([\w-]+)\S*@(\S+ # \S+)", other.read_text())}

    assert file in FILES
    assert len(pins) == len({action for action, _ in pins})


@each_file
def test_no_job_may_do_more_than_read_the_code(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    assert [job["permissions"] for job in jobs(file).values()] == [{"contents": "read"}] * len(jobs(file))


@each_file
def test_no_checkout_leaves_its_credentials_behind(file: Path) -> None:
    checkouts = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]

    assert len(checkouts) == len(jobs(file))
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


@each_file
def test_every_job_ends(file: Path) -> None:
    assert all(0 < job["timeout-minutes"] < 360 for job in jobs(file).values())


@each_file
def test_no_pull_request_is_run_with_the_rights_of_the_repository(file: Path) -> None:
    assert "pull_request_target" not in file.read_text()
    assert "workflow_run" not in file.read_text()


@each_file
def test_the_token_is_in_one_step_of_one_protected_job_of_the_apply_workflow(file: Path) -> None:
    holders = [
        (job.get("environment"), step["run"][:38])
        for job in jobs(file).values()
        for step in job["steps"]
        if "secrets." in str(step)
    ]

    assert str(yaml.safe_load(file.read_text())).count("secrets.") == len(holders)
    assert holders == ([("production", "exec .venv/bin/reconciler apply plan.j")] if file.stem == "apply" else [])


@each_file
def test_only_an_apply_is_never_cancelled_by_a_newer_run(file: Path) -> None:
    concurrency = yaml.safe_load(file.read_text())["concurrency"]

    assert concurrency["cancel-in-progress"] is (file.stem != "apply")
    assert ("${{" in concurrency["group"]) is (file.stem != "apply"), "one apply at a time, whatever its ref"


def test_the_steps_of_the_apply_workflow_apply_what_they_planned_and_then_find_nothing_to_do(
    tmp_path: Path, sandbox: Sandbox, declare: Callable[..., Path]
) -> None:
    """As on a runner, except for fetching and keeping the state, which stays where it is."""
    declare("lobby.yaml", serial_number="AP-1", status="active")
    sandbox.seed("AP-1")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    scripts = {step["name"]: step["run"] for step in steps(FOLDER / "apply.yml") if "run" in step}
    summary, output = tmp_path / "summary.md", tmp_path / "output"
    environ = {
        "PATH": os.environ["PATH"],
        "CI": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(output),
    }

    def step(name: str, more: Mapping[str, str]) -> None:
        command = ["bash", "-e", "-c", scripts[name]]
        subprocess.run(
            command, cwd=tmp_path, env=environ | dict(more), stdin=subprocess.DEVNULL, check=True, timeout=60
        )

    step("Validate", {})
    step("Plan", {})
    assert output.read_text() == "changes=true\n"
    assert "AP-1" in summary.read_text()

    step("Apply", sandbox.environ)
    [put] = sandbox.requests("PUT")
    assert (put.serial, put.body) == ("AP-1", {"status": "active"})
    assert json.loads((tmp_path / "report.json").read_text())["counts"]["applied"] == 1

    output.unlink()
    step("Plan", {})
    assert output.read_text() == "changes=false\n"

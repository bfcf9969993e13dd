"""What zizmor and actionlint cannot know about our workflows: which of them may hold a secret, and why.

tests/e2e runs them.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parent.parent / ".github"
ACTION = FOLDER / "actions" / "reconciler" / "action.yml"
FILES = sorted((FOLDER / "workflows").glob("*.yml"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
each_with_steps = pytest.mark.parametrize("file", [*FILES, ACTION], ids=lambda file: file.stem)
OURS = "$/.github/actions/reconciler"


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]
    return found


def steps(file: Path) -> list[dict[str, Any]]:
    if file == ACTION:
        found: list[dict[str, Any]] = yaml.safe_load(file.read_text())["runs"]["steps"]
        return found
    return [step for job in jobs(file).values() for step in job["steps"]]


@each_with_steps
def test_every_run_block_is_a_shell_script_without_expressions(file: Path) -> None:
    for script in [step["run"] for step in steps(file) if "run" in step]:
        assert "${{" not in script, "pass values through env: text from outside is no shell code"
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, encoding="utf-8", check=False)
        assert (done.returncode, done.stderr) == (0, "")


@each_with_steps
def test_every_action_is_pinned_to_a_commit_and_names_its_version_unless_it_is_ours(file: Path) -> None:
    used = re.findall(r"(?m)^ +(?:- )?uses: (.+)$", file.read_text())

    assert len(used) == sum("uses" in step for step in steps(file)) > 0
    pinned = re.compile(r"actions/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert {use for use in used if not pinned.fullmatch(use)} <= {OURS}


def test_every_action_has_one_version_everywhere() -> None:
    texts = [file.read_text() for file in (*FILES, ACTION)]
    pins = {pin for text in texts for pin in re.findall(r"uses: actions/([\w-]+)\S*@(\S+ # \S+)", text)}

    assert len(pins) == len({action for action, _ in pins}) > 0


RIGHTS = {
    ("plan", "plan"): {"contents": "read", "pull-requests": "write"},
    ("apply", "plan"): {"contents": "read"},
    ("apply", "apply"): {"actions": "read", "contents": "write", "pull-requests": "write"},
    ("ci", "check"): {"contents": "read"},
}


@each_file
def test_a_job_may_do_what_it_needs_and_no_more(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    assert {(file.stem, name): job["permissions"] for name, job in jobs(file).items()}.items() <= RIGHTS.items()


def test_every_right_in_the_workflows_stands_on_the_page_about_them() -> None:
    page = (FOLDER.parent / "docs" / "gitops.md").read_text()
    rows = re.findall(r"(?m)^\| `(\w+)\.yml`, job `(\w+)` \| (.*?) \|", page)

    assert {(file, job): dict(re.findall(r"`([\w-]+): (\w+)`", rights)) for file, job, rights in rows} == {
        key: rights for key, rights in RIGHTS.items() if key != ("ci", "check")
    }


def test_every_test_that_the_page_names_is_where_it_says() -> None:
    root = FOLDER.parent
    found = 0
    for row in re.findall(r"(?m)^\|.*\|$", (root / "docs" / "gitops.md").read_text()):
        waiting: list[str] = []
        for name, place in re.findall(r"`(test_\w+)`|\(`(tests/[\w/.]+)`\)", row):
            if name:
                waiting.append(name)
            if place:
                text = (root / place).read_text()
                assert waiting
                waiting = [each for each in waiting if f"def {each}(" not in text]
            found += bool(name)
        text = (root / "tests" / "e2e" / "test_gitops.py").read_text()
        assert [each for each in waiting if f"def {each}(" not in text] == []
    assert found > 12


@each_file
def test_only_the_jobs_that_read_or_write_the_state_keep_the_credentials_of_the_checkout(file: Path) -> None:
    checkouts = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]

    assert len(checkouts) == len(jobs(file))
    assert {step["with"]["persist-credentials"] for step in checkouts} == {file.stem in {"plan", "apply"}}


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
        (name, job.get("environment"), step["uses"], step["with"]["command"].split()[:2])
        for name, job in jobs(file).items()
        for step in job["steps"]
        if "secrets." in str(step)
    ]

    assert str(yaml.safe_load(file.read_text())).count("secrets.") == len(holders)
    assert holders == ([("apply", "production", OURS, ["ci", "apply"])] if file.stem == "apply" else [])


def test_in_the_action_no_step_sees_a_token_but_the_one_that_becomes_the_reconciler() -> None:
    holders = [step for step in steps(ACTION) if "token" in str(step)]

    assert [step["id"] for step in holders] == ["run"]
    assert holders[0]["run"].splitlines()[-1] == 'exec reconciler "${words[@]}"'


@each_file
def test_only_an_apply_is_never_cancelled_by_a_newer_run(file: Path) -> None:
    concurrency = yaml.safe_load(file.read_text())["concurrency"]

    assert concurrency["cancel-in-progress"] is (file.stem != "apply")
    assert ("${{" in concurrency["group"]) is (file.stem != "apply"), "one apply at a time, whatever its ref"


def test_applies_wait_for_each_other_in_order_and_none_is_dropped() -> None:
    assert yaml.safe_load((FOLDER / "workflows" / "apply.yml").read_text())["concurrency"] == {
        "group": "reconciler-apply",
        "cancel-in-progress": False,
        "queue": "max",
    }

"""The same way on GitLab: the jobs of the .gitlab-ci.yml that `init` writes, line by line."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import gitops_fleet as fleets
import pytest
import yaml
from conftest import COMMAND, Ran, clean_environ
from conftest import Run as Command
from forge_server import Hub, forge
from git_places import git
from gitops_fleet import SERIALS, Fleet

from reconciler.sandbox.server import running


@pytest.fixture
def lab() -> Iterator[Hub]:
    with forge() as lab:
        lab.login = "fleet-bot"
        yield lab


@pytest.fixture
def fleet(tmp_path: Path, lab: Hub, run: Command) -> Iterator[Fleet]:
    with running() as server:
        yield fleets.made(tmp_path, lab, server, run)


def job(fleet: Fleet, name: str, commit: str, more: Mapping[str, str]) -> tuple[Ran, Path]:
    """How the script of a job ended, in a clone that is detached at that commit, and where that is."""
    fleet.runs += 1
    place = fleet.folder / f"build-{fleet.runs}"
    git(fleet.folder, "clone", "--quiet", "--no-checkout", str(fleet.remote), place.name)
    git(place, "fetch", "--quiet", "origin", commit)
    git(place, "checkout", "--quiet", "--detach", commit)
    jobs = yaml.safe_load((place / ".gitlab-ci.yml").read_text())
    prepare, script = jobs[jobs[name]["extends"]]["before_script"], "\n".join(jobs[name]["script"])
    assert [line.split(" --")[0] for line in prepare] == ["pip install"]
    assert (place / prepare[0].split()[-1]).read_text().count("zequenze-reconciler==") == 1
    environ = {
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        "HOME": str(fleet.folder),
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{fleet.hub.url}/api/v4",
        "CI_PROJECT_ID": "42",
        "CI_COMMIT_SHA": commit,
        "CI_JOB_ID": "4711",
        "CI_JOB_URL": "https://example.com/fleet/-/jobs/4711",
        "GITLAB_TOKEN": fleet.hub.token,
    }
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=place,
        env=clean_environ() | environ | dict(more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )
    kept = [place / path for path in jobs[name]["artifacts"]["paths"]]
    assert done.returncode or all(path.is_file() for path in kept), "an artifact is missing"
    return Ran(done.returncode, done.stdout, done.stderr), place


def test_a_merge_request_is_planned_in_a_note_and_applied_once_it_is_merged(fleet: Fleet) -> None:
    pull = fleet.opened(fleets.initial(fleet, "gitlab"))
    planned, place = job(fleet, "reconciler-plan", pull.head, {"CI_MERGE_REQUEST_IID": str(pull.number)})
    assert planned.code == 0, planned.stderr
    assert "24 to adopt" in fleet.comment(pull.number, "plan")
    assert (place / "gl-code-quality-report.json").is_file()
    fleet.hub.keep(place / "plan.json", head=pull.head)

    merged = fleet.merged(pull)
    secrets = {"CI_COMMIT_BRANCH": "main", **fleet.sandbox.environ}
    applied, _ = job(fleet, "apply", merged, secrets)
    assert applied.code == 0, applied.stderr
    assert sorted(put.serial for put in fleet.sandbox.requests("PUT")) == SERIALS
    assert "24 applied" in fleet.comment(pull.number, "apply")
    fleet.keeps_the_law()


def test_every_job_has_an_end_and_only_the_one_that_plans_may_be_interrupted(fleet: Fleet) -> None:
    text = fleets.initial(fleet, "gitlab")[".gitlab-ci.yml"]
    jobs = {name: job for name, job in yaml.safe_load(str(text)).items() if "script" in job}

    assert {name: job["interruptible"] for name, job in jobs.items()} == {"reconciler-plan": True, "apply": False}
    assert all(job["timeout"] and job["script"][-1].startswith("exec reconciler ci ") for job in jobs.values())
    assert (jobs["apply"]["environment"], jobs["apply"]["resource_group"]) == ("production", "production")

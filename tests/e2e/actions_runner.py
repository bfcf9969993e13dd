"""A runner of GitHub Actions in small: it runs workflows as they stand in a commit, every `run:` for real.

What is `uses:` is done by equivalents: checkout is git, setting up Python is nothing, installing is the `reconciler` of
this environment on PATH, and artifacts go to whoever keeps them. Whatever it does not know is an error.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from conftest import COMMAND, clean_environ
from git_places import git

Conclusion = Literal["success", "failure", "cancelled", "skipped"]
Contexts = Mapping[str, Any]

SHELLS: Final = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
LONGEST: Final = 90.0
"""Seconds for one step."""


@dataclass(frozen=True, slots=True)
class Event:
    """What sets a run off, with what the forge gives to it. `sha` is checked out, and holds the workflow."""

    name: Literal["pull_request", "push"]
    ref: str
    sha: str
    payload: Mapping[str, Any]
    token: str
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody cancels the run: SIGINT to the process of the step once `when` holds, then SIGTERM, then the end.

    GitHub waits 7.5 s after the first and 2.5 s after the second.
    """

    when: Callable[[], bool]
    interrupted: float = 7.5
    terminated: float = 2.5


@dataclass(slots=True)
class JobRun:
    """How a job ended. `signals` are those that a cancelled step needed."""

    conclusion: Conclusion = "success"
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    log: str = ""
    code: int = 0
    signals: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Forge:
    """Where the runner is from: its repository and API, and who takes an artifact (head, name, file)."""

    repository: Path
    name: str
    api: str
    keep: Callable[[str, str, Path], None]


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where the steps of a job, or of an action in it, run."""

    contexts: dict[str, Any]
    environ: dict[str, str]
    place: Path
    done: JobRun
    cancel: Cancel | None


class Run:
    """One run of one workflow. Jobs are run one by one, and may be run again, as a person does with a failed one."""

    def __init__(self, forge: Forge, folder: Path, workflow: str, event: Event, number: int) -> None:
        self.number = number
        self.event = event
        self._forge = forge
        self._folder = folder
        self._attempt = 0
        self._jobs: dict[str, JobRun] = {}
        text = git(forge.repository, "show", f"{event.sha}:.github/workflows/{workflow}.yml")
        self.workflow: dict[str, Any] = yaml.safe_load(text)

    def job(self, name: str, *, cancel: Cancel | None = None) -> JobRun:
        """Run a job in an empty folder; the jobs that it needs were run."""
        job = self.workflow["jobs"][name]
        self._attempt += 1
        done = self._jobs[name] = JobRun()
        contexts: dict[str, Any] = {
            "github": {"token": self.event.token, "ref": self.event.ref, "run_attempt": str(self._attempt)},
            "secrets": self.event.secrets if job.get("environment") == "production" else {},
            "vars": self.event.variables if job.get("environment") == "production" else {},
            "needs": {need: {"outputs": self._jobs[need].outputs} for need in _list(job.get("needs"))},
            "steps": {},
        }
        if any(self._jobs[need].conclusion != "success" for need in _list(job.get("needs"))):
            done.conclusion = "skipped"
            return done
        place = self._folder / f"run-{self.number}-{name}-{self._attempt}"
        (place / "workspace").mkdir(parents=True)
        if not holds(job.get("if", "success()"), contexts, place / "workspace", ok=True):
            done.conclusion = "skipped"
            return done
        environ = self._environ(place, name) | {
            key: substituted(text, contexts)
            for key, text in {**self.workflow.get("env", {}), **job.get("env", {})}.items()
        }
        self._steps(job["steps"], _Scope(contexts, environ, place, done, cancel))
        done.outputs |= {key: substituted(text, contexts) for key, text in job.get("outputs", {}).items()}
        summary = place / "summary.md"
        done.summary = summary.read_text() if summary.exists() else ""
        return done

    def _steps(self, steps: list[dict[str, Any]], scope: _Scope) -> None:
        contexts, workspace = scope.contexts, scope.place / "workspace"
        for step in steps:
            if not holds(step.get("if", "success()"), contexts, workspace, ok=scope.done.conclusion == "success"):
                continue
            given = {key: substituted(str(value), contexts) for key, value in step.get("with", {}).items()}
            more = {key: substituted(text, contexts) for key, text in step.get("env", {}).items()}
            match step.get("uses", "").partition("@")[0]:
                case "actions/checkout":
                    self._checkout(workspace, depth=int(given.get("fetch-depth", "1")))
                case "actions/setup-python":
                    assert re.fullmatch(r"3\.\d+", given["python-version"])
                case "actions/upload-artifact":
                    pull = self.event.payload.get("pull_request", {"head": {"sha": self.event.sha}})
                    self._forge.keep(pull["head"]["sha"], given["name"], workspace / given["path"])
                case "":
                    self._script(step, replace(scope, environ=scope.environ | more))
                case ours if ours.startswith("$/"):
                    self._composite(step, given, replace(scope, environ=scope.environ | more))
                case other:
                    raise AssertionError(f"this runner does not know {other}")

    def _composite(self, step: dict[str, Any], given: dict[str, str], scope: _Scope) -> None:
        folder = step["uses"].removeprefix("$/")
        action = yaml.safe_load(git(self._forge.repository, "show", f"{self.event.sha}:{folder}/action.yml"))
        assert action["runs"]["using"] == "composite"
        assert given.keys() <= action["inputs"].keys()
        inside: dict[str, Any] = {"github": scope.contexts["github"], "steps": {}}
        inside["inputs"] = {
            key: given.get(key, substituted(str(declared.get("default", "")), scope.contexts))
            for key, declared in action["inputs"].items()
        }
        environ = scope.environ | {"GITHUB_ACTION_PATH": str(scope.place / "workspace" / folder)}
        self._steps(action["runs"]["steps"], replace(scope, contexts=inside, environ=environ))
        outputs = {key: substituted(declared["value"], inside) for key, declared in action["outputs"].items()}
        if "id" in step:
            scope.contexts["steps"][step["id"]] = {"outputs": outputs}

    def _script(self, step: dict[str, Any], scope: _Scope) -> None:
        done, place = scope.done, scope.place
        if "pip install" in step["run"]:
            requirements = Path(scope.environ["GITHUB_ACTION_PATH"], "requirements.txt").read_text()
            assert "zequenze-reconciler==" in requirements
            return
        done.scripts.append(step["run"])
        number = len(done.scripts)
        script, output = place / f"script-{number}.sh", place / f"output-{number}"
        script.write_text(step["run"])
        output.touch()
        log = place / f"log-{number}"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*SHELLS[step.get("shell")], str(script)],
                cwd=place / "workspace" / substituted(step.get("working-directory", "."), scope.contexts),
                env=scope.environ | {"GITHUB_OUTPUT": str(output)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            _watched(process, scope.cancel, done)
        done.log += log.read_text()
        done.code = process.returncode
        if done.signals:
            done.conclusion = "cancelled"
        elif process.returncode:
            done.conclusion = "failure"
        if "id" in step:
            pairs = dict(line.split("=", 1) for line in output.read_text().splitlines())
            scope.contexts["steps"][step["id"]] = {"outputs": pairs}

    def _checkout(self, workspace: Path, *, depth: int) -> None:
        """As actions/checkout does it: a clone of one commit, detached or on its branch."""
        git(workspace, "init", "--quiet", "--initial-branch=main")
        git(workspace, "remote", "add", "origin", self._forge.repository.as_uri())
        branch = self.event.ref.removeprefix("refs/heads/")
        local = (
            f"refs/remotes/origin/{branch}"
            if branch != self.event.ref
            else self.event.ref.replace("refs/", "refs/remotes/")
        )
        if depth:
            git(workspace, "fetch", "--quiet", "--no-tags", f"--depth={depth}", "origin", f"+{self.event.sha}:{local}")
        else:
            git(workspace, "fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")
            git(workspace, "fetch", "--quiet", "--no-tags", "origin", f"+{self.event.sha}:{local}")
        git(workspace, "checkout", "--quiet", *(("-B", branch) if branch != self.event.ref else ("--detach",)), local)
        assert git(workspace, "rev-parse", "HEAD") == self.event.sha

    def _environ(self, place: Path, job: str) -> dict[str, str]:
        event = place / "event.json"
        event.write_text(json.dumps(self.event.payload))
        (place / "home").mkdir()
        return clean_environ() | {
            "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
            "HOME": str(place / "home"),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "octo",
            "GITHUB_API_URL": self._forge.api,
            "GITHUB_GRAPHQL_URL": f"{self._forge.api}/graphql",
            "GITHUB_EVENT_NAME": self.event.name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_JOB": job,
            "GITHUB_REF": self.event.ref,
            "GITHUB_REF_NAME": re.sub("^refs/(heads|pull)/", "", self.event.ref),
            "GITHUB_REPOSITORY": self._forge.name,
            "GITHUB_RUN_ATTEMPT": str(self._attempt),
            "GITHUB_RUN_ID": str(self.number),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": self.event.sha,
            "GITHUB_STEP_SUMMARY": str(place / "summary.md"),
            "GITHUB_WORKFLOW": self.workflow["name"],
            "GITHUB_WORKSPACE": str(place / "workspace"),
            "RUNNER_TEMP": str(place),
        }


def substituted(text: str, contexts: Contexts) -> str:
    """`text` with each `${{ … }}` replaced by its value; one that there is not is empty, as GitHub has it."""
    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: _value(found[1], contexts), text)


def holds(condition: str, contexts: Contexts, workspace: Path, *, ok: bool) -> bool:
    """An `if:` of the few kinds that our workflows use. Without a word about the status, it includes `success()`."""
    parts = condition.split(" && ")
    if not {"always()", "success()"} & set(parts):
        parts.append("success()")
    return all(_part(part, contexts, workspace, ok=ok) for part in parts)


def _part(part: str, contexts: Contexts, workspace: Path, *, ok: bool) -> bool:
    if part in {"always()", "success()"}:
        return ok or part == "always()"
    if found := re.fullmatch(r"hashFiles\('([\w.]+)'\) != ''", part):
        return (workspace / found[1]).is_file()
    if found := re.fullmatch(r"([\w.-]+) (==|!=) '(\w*)'", part):
        return (_value(found[1], contexts) == found[3]) is (found[2] == "==")
    raise AssertionError(f"this runner does not know the condition {part}")


def _value(name: str, contexts: Contexts) -> str:
    value: Any = contexts
    for key in name.split("."):
        if value is contexts and key not in contexts:
            raise AssertionError(f"no context {key} here")
        value = value.get(key, "") if isinstance(value, Mapping) else ""
    assert isinstance(value, str), name
    return value


def _watched(process: subprocess.Popen[bytes], cancel: Cancel | None, done: JobRun) -> None:
    """Wait for the end. A cancelled process gets the signals of the runner: it alone, not its children."""
    ends = time.monotonic() + LONGEST
    while cancel and process.poll() is None and not cancel.when():
        assert time.monotonic() < ends, "nothing to cancel ever happened"
        time.sleep(0.01)
    if cancel and process.poll() is None:
        for number, wait in ((signal.SIGINT, cancel.interrupted), (signal.SIGTERM, cancel.terminated)):
            done.signals.append(number.name)
            process.send_signal(number)
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                continue
            return
        done.signals.append(signal.SIGKILL.name)
        os.killpg(process.pid, signal.SIGKILL)  # the whole tree
    process.wait(max(0.0, ends - time.monotonic()))


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []

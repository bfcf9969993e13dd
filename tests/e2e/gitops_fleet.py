"""A fleet's repository at a simulated forge: what people do there, and the runs which that sets off."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from actions_runner import Event, Forge, JobRun, Run
from conftest import Run as Command
from forge_server import PROJECT, Hub
from git_places import bare, cloned, git

from reconciler.sandbox.server import Sandbox

WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
SERIALS = [f"AP-{number:02}" for number in range(24)]


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request: its branch, the commit that is its head, and what merging it would make."""

    number: int
    branch: str
    head: str
    merge: str


@dataclass(slots=True)
class Fleet:
    """The repository, the forge and the server of one fleet; `clone` is where its people work."""

    folder: Path
    remote: Path
    clone: Path
    hub: Hub
    sandbox: Sandbox
    command: Command
    runs: int = 0

    def commit(self, files: Mapping[str, str | None], message: str, place: Path | None = None) -> str:
        """A commit of those files, of which None are removed, on the branch that is checked out."""
        place = place or self.clone
        for name, text in files.items():
            if text is None:
                (place / name).unlink()
                continue
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")
        git(place, "add", "--all")
        git(place, *WHO, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(place, "rev-parse", "HEAD")

    def opened(self, files: Mapping[str, str | None], *, fork: bool = False) -> Pull:
        """A pull request that somebody opens, from a branch here or from a fork of theirs."""
        number = len(self.hub.pulls) + 1
        branch = f"change-{number}"
        place = cloned(self.folder / f"fork-{number}", self.remote) if fork else self.clone
        git(place, "fetch", "--quiet", "origin")
        git(place, "checkout", "--quiet", "-B", branch, "origin/main")
        head = self.commit(files, f"Change {number}", place)
        git(place, "push", "--quiet", "origin", f"{head}:refs/pull/{number}/head")
        git(place, "checkout", "--quiet", "--detach", "origin/main")
        merge = self._merged(place, head, number)
        git(place, "push", "--quiet", "origin", f"{merge}:refs/pull/{number}/merge")
        self.hub.pull(number, head=head)
        return Pull(number, branch, head, merge)

    def pushed(self, files: Mapping[str, str | None]) -> str:
        """A commit that somebody makes on main, past all reviews."""
        git(self.clone, "fetch", "--quiet", "origin")
        git(self.clone, "checkout", "--quiet", "-B", "main", "origin/main")
        commit = self.commit(files, "Past all reviews")
        git(self.clone, "push", "--quiet", "origin", "main")
        return commit

    def merged(self, pull: Pull) -> str:
        """The commit on main by which the pull request is merged."""
        git(self.clone, "fetch", "--quiet", "origin", f"refs/pull/{pull.number}/head", "main")
        git(self.clone, "checkout", "--quiet", "-B", "main", "origin/main")
        merge = self._merged(self.clone, pull.head, pull.number)
        git(self.clone, "push", "--quiet", "origin", "main")
        self.hub.merge(pull.number, merge)
        return merge

    def _merged(self, place: Path, head: str, number: int) -> str:
        git(place, *WHO, "merge", "--quiet", "--no-ff", "--message", f"Merge pull request #{number}", head)
        return git(place, "rev-parse", "HEAD")

    def planning(self, pull: Pull, *, token: str | None = None) -> Run:
        """The run of plan.yml that a pull request sets off; with a token that may only read for one from a fork."""
        payload: dict[str, Any] = {
            "number": pull.number,
            "pull_request": {"number": pull.number, "head": {"sha": pull.head}},
        }
        return self._run(
            "plan",
            Event("pull_request", f"refs/pull/{pull.number}/merge", pull.merge, payload, token or self.hub.token),
        )

    def applying(self, commit: str) -> Run:
        """The run of apply.yml that a push to main sets off."""
        return self._run(
            "apply",
            Event(
                "push",
                "refs/heads/main",
                commit,
                {"after": commit},
                self.hub.token,
                secrets={"RECONCILER_TOKEN": self.sandbox.token},
                variables={"RECONCILER_BASE_URL": self.sandbox.base_url},
            ),
        )

    def _run(self, workflow: str, event: Event) -> Run:
        self.runs += 1
        forge = Forge(self.remote, PROJECT, self.hub.url, self._keep)
        return Run(forge, self.folder / "runners", workflow, event, self.runs)

    def _keep(self, head: str, name: str, file: Path) -> None:
        if name == "reconciler-plan":
            self.hub.keep(file, head=head, name=name)

    def changed(self, files: Mapping[str, str | None]) -> str:
        """The commit by which a change went its whole way, up to the point where it is merged."""
        pull = self.opened(files)
        planned = self.planning(pull).job("plan")
        assert planned.conclusion == "success", planned.log
        return self.merged(pull)

    def applied(self, commit: str) -> JobRun:
        """How the apply of a push ended that somebody approved."""
        run = self.applying(commit)
        planned = run.job("plan")
        assert planned.conclusion == "success", planned.log
        return run.job("apply")

    def comment(self, pull: int, kind: str) -> str:
        """The one comment of that kind, "plan" or "apply"."""
        [found] = [body for body in self.hub.comments(pull) if body.startswith(f"<!-- reconciler {kind} ")]
        return found

    def keeps_the_law(self) -> None:
        """A second plan is empty, the server holds what main declares, and nobody altered the journal."""
        place = cloned(self.folder / f"law-{self.runs}", self.remote)
        planned = self.command("plan", cwd=place)
        assert (planned.code, planned.stdout.split(".")[0]) == (0, "No changes"), planned.stdout + planned.stderr
        declared: dict[str, dict[str, Any]] = {}
        for file in sorted((place / "inventory").rglob("[!_]*.yaml")):
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
            declared |= {device["serial_number"]: device for device in document.get("devices", [document])}
        assert declared
        for serial, device in declared.items():
            held = self.sandbox.device(serial)
            assert {key: held[key] for key in device} == device
        verified = self.command("audit", "verify", cwd=place)
        assert verified.code == 0, verified.stderr


def devices(status: str, **more: str) -> str:
    """A file with the whole fleet, in JSON, which is YAML, too."""
    return json.dumps(
        {"devices": [{"serial_number": serial, "status": status, **more} for serial in SERIALS]}, indent=1
    )


def made(folder: Path, hub: Hub, sandbox: Sandbox, command: Command) -> Fleet:
    """A repository as the last lines of `reconciler init` say: an empty main, and a pull request that fills it.

    The example device gives way to a fleet, which the server knows; nothing is planned or applied yet.
    """
    sandbox.seed(*SERIALS)
    remote = bare(folder / "remote.git")
    git(remote, "config", "uploadpack.allowAnySHA1InWant", "true")
    fleet = Fleet(folder, remote, cloned(folder / "clone", remote), hub, sandbox, command)
    fleet.commit({}, "Begin")
    git(fleet.clone, "push", "--quiet", "origin", "HEAD:main")
    git(fleet.clone, "checkout", "--quiet", "-B", "main")
    return fleet


def initial(fleet: Fleet, forge: str = "github") -> dict[str, str | None]:
    """What `init` writes, with quick settings and a fleet in the place of the example."""
    place = fleet.folder / "initial"
    done = fleet.command("init", place, "--forge", forge)
    assert done.code == 0, done.stderr
    files: dict[str, str | None] = {
        str(file.relative_to(place)): file.read_text(encoding="utf-8") for file in place.rglob("*") if file.is_file()
    }
    [example] = [name for name in files if name.startswith("inventory/")]
    del files[example]
    settings = str(files["reconciler.toml"])
    for before, after in {
        "[api]": "[api]\nrate_per_second = 200\nburst = 50\nconcurrency = 4",
        "max_changed_pct = 30 ": "max_changed_pct = 100 ",
    }.items():
        assert before in settings
        settings = settings.replace(before, after)
    files["reconciler.toml"] = settings
    files["inventory/fleet.yaml"] = devices("active")
    return files

"""`ci apply` against a simulated forge, the sandbox and real git: what was merged is applied as it was reviewed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import COMMAND, Declare, Ran, Run, clean_environ, wait_for_commit, wait_for_line
from forge_server import Hub, forge

from reconciler import gitops, reconcile
from reconciler.agreement import check_commit
from reconciler.config import load
from reconciler.errors import OlderCommit
from reconciler.sandbox.server import Sandbox

PULL = "c" * 40
AUTHOR = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@example.com", "GIT_CONFIG_GLOBAL": os.devnull}
COMMITTER = {"GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@example.com"}


def git(place: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=place, env=clean_environ() | AUTHOR | COMMITTER, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def commit(place: Path) -> str:
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--allow-empty", "--message", "change")
    return git(place, "rev-parse", "HEAD")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with forge() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the runner keeps its files; the repository is in `tmp_path`."""
    (tmp_path / "runner").mkdir()
    (tmp_path / ".gitignore").write_text("/runner\n/.reconciler\n/plan.json\n")
    (tmp_path / "reconciler.toml").write_text("[api]\nrate_per_second = 1000\nburst = 100\nattempts = 1\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return tmp_path / "runner"


class Story:
    """One repository, its pull requests and its jobs."""

    def __init__(self, run: Run, hub: Hub, sandbox: Sandbox, place: Path) -> None:
        self.run, self.hub, self.sandbox, self.place = run, hub, sandbox, place
        self.root = place.parent

    def reviewed(self, number: int, *, head: str = PULL, name: str = "reconciler-plan", comment: bool = True) -> None:
        """The job for a pull request: plan, comment, keep the plan."""
        self.hub.pull(number, head=head)
        token = self.hub.token if comment else self.hub.reader
        ran = self.run("ci", "plan", environ=self.hub.environ(number, head=head, files=self.place, token=token))
        assert ran.code == 0, ran.stderr
        self.hub.keep(self.root / "plan.json", head=head, name=name)

    def merged(self, number: int) -> str:
        made = commit(self.root)
        self.hub.merge(number, made)
        return made

    def apply(self, *more: str, head: str, attempt: str = "1") -> Ran:
        for file in self.place.iterdir():
            file.unlink()
        environ = self.hub.environ(head=head, files=self.place) | {"GITHUB_RUN_ATTEMPT": attempt}
        ran: Ran = self.run("ci", "apply", *more, environ={**environ, **self.sandbox.environ})
        return ran

    @property
    def summary(self) -> str:
        return (self.place / "summary.md").read_text()

    @property
    def outcome(self) -> str:
        """The comment about the apply in the pull request, which is the last one."""
        found = [
            note["body"] for note in self.hub.notes if note["body"].startswith("<!-- reconciler apply default -->")
        ]
        return str(found[-1])


@pytest.fixture
def story(run: Run, hub: Hub, sandbox: Sandbox, place: Path, declare: Declare) -> Story:
    """Pull request 7 adopts AP-1, and was planned and commented."""
    sandbox.seed("AP-1", "AP-2")
    declare("a.yaml", serial_number="AP-1", status="active")
    told = Story(run, hub, sandbox, place)
    told.reviewed(7)
    return told


def test_what_was_merged_is_applied_as_reviewed_and_the_outcome_commented(story: Story) -> None:
    ran = story.apply(head=story.merged(7))

    assert (ran.code, story.sandbox.device("AP-1")["status"]) == (0, "active"), ran.stderr
    assert "reviewed in #7" in ran.stderr
    assert len(story.hub.comments(7)) == 2
    assert story.outcome.splitlines()[1] == "### Applied"
    assert "Apply: 1 applied" in story.outcome
    assert "### Plan: 1 to adopt" in story.summary
    assert "### Applied" in story.summary
    assert "changes=true" in (story.place / "output").read_text()


def test_the_token_follows_no_redirect_to_another_host(story: Story) -> None:
    assert story.apply(head=story.merged(7)).code == 0

    [(_, _, given)] = [asked for asked in story.hub.asked if asked[1].startswith("/blob/")]
    assert given == ""


def test_what_was_not_reviewed_stops_with_5_and_is_told(story: Story, declare: Declare) -> None:
    declare("b.yaml", serial_number="AP-2", status="active")
    ran = story.apply(head=story.merged(7))

    assert (ran.code, story.sandbox.requests()) == (5, ())
    assert "AP-2" in ran.stderr
    assert "AP-1" not in ran.stderr
    assert "AP-2" in story.outcome
    assert "### Not applied: nothing was sent" in story.summary


def test_a_push_without_a_pull_request_is_not_applied_unless_the_settings_or_its_digest_say_so(
    story: Story, declare: Declare
) -> None:
    declare("b.yaml", serial_number="AP-2", status="active")
    head = commit(story.root)
    ran = story.apply(head=head)

    assert (ran.code, story.sandbox.requests()) == (5, ())
    assert "no plan was reviewed" in ran.stderr
    digest = ran.stderr.rpartition("--reviewed ")[2].split()[0]
    assert story.apply("--reviewed", digest, head=head).code == 0
    assert len(story.sandbox.requests("PUT")) == 2


def test_where_a_review_is_optional_a_push_is_applied_and_an_unreviewed_merge_still_is_not(
    story: Story, declare: Declare
) -> None:
    with (story.root / "reconciler.toml").open("a") as file:
        file.write('[ci]\nreviewed = "if-present"\n')
    declare("b.yaml", serial_number="AP-2", status="active")
    merged = story.merged(7)

    assert story.apply(head=merged).code == 5
    pushed = commit(story.root)
    ran = story.apply(head=pushed)
    assert (ran.code, "ci.reviewed lets it pass" in ran.stderr) == (0, True)


def test_a_job_that_failed_is_mended_by_running_it_again(story: Story) -> None:
    merged = story.merged(7)
    story.sandbox.faults("drop-after-commit")
    first = story.apply(head=merged)
    assert (first.code, "drop-after-commit" in story.sandbox.requests("PUT")[-1].faults) == (3, True)
    assert "### Applied, and 1 device needs attention" in story.outcome
    assert "Running the failed job again is always the right remedy" in story.outcome
    story.sandbox.faults()

    assert story.apply(head=merged).code == 0
    assert "### Applied\n" in story.outcome
    assert len(story.hub.comments(7)) == 2
    assert story.apply(head=merged).code == 0
    assert "every device is as declared" in story.outcome


def test_an_old_job_that_is_run_again_does_not_roll_the_fleet_back(story: Story, declare: Declare) -> None:
    old = story.merged(7)
    assert story.apply(head=old).code == 0
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    story.reviewed(8, head="d" * 40)
    assert story.apply(head=story.merged(8)).code == 0
    git(story.root, "checkout", "--quiet", old)
    comment = story.hub.comments(7)
    ran = story.apply(head=old)

    assert (ran.code, story.sandbox.device("AP-1")["status"]) == (5, "maintenance")
    assert "is newer than" in ran.stderr
    assert "--allow older" in ran.stderr
    assert story.hub.comments(7) == comment
    plan = story.run("plan", "--out", "plan.json")
    assert plan.code == 0
    assert story.apply("--allow", "older", "--reviewed", "plan.json", head=old).code == 0
    assert story.sandbox.device("AP-1")["status"] == "active"
    assert '"older"' in story.run("audit", "log", "--format", "json").stdout


def test_a_merge_that_was_withdrawn_is_not_applied_by_running_its_job_again(
    story: Story, declare: Declare, tmp_path: Path
) -> None:
    first = story.merged(7)
    git(story.root, "mv", "inventory/a.yaml", "inventory/b.yaml")
    declare("b.yaml", serial_number="AP-2", status="active")
    git(story.root, "remote", "add", "origin", str(tmp_path / ".reconciler" / "origin.git"))
    git(story.root, "clone", "--quiet", "--bare", str(story.root), str(tmp_path / ".reconciler" / "origin.git"))
    newest = commit(story.root)
    git(story.root, "push", "--quiet", "origin", "main")
    git(story.root, "checkout", "--quiet", "--detach", first)

    ran = story.apply(head=first, attempt="2")
    assert (ran.code, story.sandbox.requests()) == (5, ())
    assert f"main is at {newest[:12]} by now" in ran.stderr

    assert story.apply(head=first, attempt="1").code == 0, "in its first run a job may come late, and is not repeated"


def test_a_push_that_nobody_reviewed_is_not_covered_by_what_was_reviewed_before(story: Story) -> None:
    story.merged(7)
    ran = story.apply(head=commit(story.root))

    assert (ran.code, story.sandbox.requests()) == (5, ())
    assert "no plan was reviewed for" in ran.stderr


def test_a_plan_that_somebody_committed_as_a_link_is_not_written_through(story: Story, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (story.root / "plan.json").unlink()
    (story.root / "plan.json").symlink_to(tmp_path / "elsewhere")

    story.reviewed(8)

    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert not (story.root / "plan.json").is_symlink()


def test_a_history_that_was_rewritten_is_not_applied(story: Story, declare: Declare) -> None:
    assert story.apply(head=story.merged(7)).code == 0
    git(story.root, "checkout", "--quiet", "--orphan", "other")
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    ran = story.apply(head=commit(story.root))

    assert (ran.code, "pushed with force" in ran.stderr) == (5, True)


def test_a_shallow_clone_fetches_what_it_takes_to_know(story: Story, declare: Declare, tmp_path: Path) -> None:
    assert story.apply(head=story.merged(7)).code == 0
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    story.reviewed(8, head="d" * 40)
    merged = story.merged(8)
    clone = tmp_path / "runner" / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(clone))
    environ = story.hub.environ(head=merged, files=story.place) | dict(story.sandbox.environ)
    state = {"RECONCILER_STATE": f"sqlite:{tmp_path}/.reconciler/state.db"}
    ran = story.run("ci", "apply", environ=environ | state, cwd=clone)

    assert (ran.code, story.sandbox.device("AP-1")["status"]) == (0, "maintenance"), ran.stderr

    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(clone) + "2")
    second = Path(str(clone) + "2")
    declare("a.yaml", serial_number="AP-1", status="active")
    newest = commit(story.root)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(clone) + "3")
    third = Path(str(clone) + "3")
    git(third, "remote", "set-url", "origin", str(second))
    ran = story.run("ci", "apply", environ=environ | state | {"GITHUB_SHA": newest}, cwd=third)
    assert (ran.code, "check out with fetch-depth: 0" in ran.stderr) == (5, True), ran.stderr


def test_what_was_merged_together_is_covered_by_all_of_its_reviews(story: Story, declare: Declare) -> None:
    """The job of the first merge never ran: a newer one took its place in the queue."""
    declare("z.yaml", serial_number="AP-0", status="active")
    story.sandbox.seed("AP-0")
    story.reviewed(5, head="e" * 40)
    assert story.apply(head=story.merged(5)).code == 0
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    (story.root / "inventory" / "b.yaml").unlink(missing_ok=True)
    story.reviewed(8, head="d" * 40)
    story.merged(8)
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    story.reviewed(9, head="f" * 40)
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    ran = story.apply(head=story.merged(9))

    assert ran.code == 0, ran.stderr
    assert "reviewed in #9, #8" in ran.stderr
    assert story.sandbox.device("AP-1")["status"] == "maintenance"


def test_a_plan_that_is_not_the_one_in_our_comment_counts_for_nothing(story: Story, declare: Declare) -> None:
    declare("b.yaml", serial_number="AP-2", status="active")
    assert story.run("plan", "--out", "plan.json").code == 0
    story.hub.artifacts.clear()
    story.hub.keep(story.root / "plan.json", head=PULL)
    ran = story.apply(head=story.merged(7))

    assert (ran.code, story.sandbox.requests()) == (5, ())
    assert "is not the plan that the comment there shows" in ran.stderr


def test_a_plan_from_a_fork_counts_without_a_comment_and_that_is_said(story: Story, declare: Declare) -> None:
    declare("b.yaml", serial_number="AP-2", status="active")
    story.hub.notes.clear()
    story.hub.artifacts.clear()
    story.reviewed(8, head="d" * 40, comment=False)
    ran = story.apply(head=story.merged(8))

    assert (ran.code, "#8 (no comment of ours there to compare with)" in ran.stderr) == (0, True), ran.stderr


@pytest.mark.parametrize("trouble", ["expired", "other name", "other head", "not merged"])
def test_a_plan_that_is_not_there_is_no_review(trouble: str, story: Story) -> None:
    merged = story.merged(7)
    if trouble == "expired":
        story.hub.artifacts[0]["expired"] = True
    elif trouble == "other name":
        story.hub.artifacts[0]["name"] = "reconciler-plan-north"
    elif trouble == "other head":
        story.hub.runs[0]["head_sha"] = "0" * 40
    else:
        story.hub.pulls[7]["merged"] = None

    ran = story.apply(head=merged)
    assert (ran.code, story.sandbox.requests(), "no plan was reviewed" in ran.stderr) == (5, (), True)


def test_a_guard_refuses_with_6_and_that_is_commented(story: Story) -> None:
    with (story.root / "reconciler.toml").open("a") as file:
        file.write("[guard]\nmax_adopted = 0\n")
    merged = story.merged(7)
    ran = story.apply(head=merged)

    assert (ran.code, story.sandbox.requests()) == (6, ())
    assert "the limit is 0" in story.outcome
    assert story.apply("--allow", "max_adopted", head=merged).code == 0


def test_without_a_token_of_the_forge_nothing_is_applied(story: Story) -> None:
    story.hub.token = ""
    ran = story.apply(head=story.merged(7))

    assert (ran.code, story.sandbox.requests(), "GITHUB_TOKEN is not set" in ran.stderr) == (1, (), True)


def test_a_run_that_is_cancelled_says_how_far_it_came(story: Story, declare: Declare) -> None:
    """The runner sends SIGINT first, and what is in flight is finished."""
    serials = [f"AP-{number}" for number in range(10, 40)]
    story.sandbox.seed(*serials)
    story.sandbox.faults("latency-after-commit=3s:serial=AP-10")
    quick = (story.root / "reconciler.toml").read_text()
    (story.root / "reconciler.toml").write_text("[api]\nrate_per_second = 2\nburst = 1\n")
    for serial in serials:
        declare(f"{serial}.yaml", serial_number=serial, status="active")
    story.reviewed(8, head="d" * 40)
    merged = story.merged(8)
    environ = clean_environ() | story.hub.environ(head=merged, files=story.place) | dict(story.sandbox.environ)
    process = subprocess.Popen(
        [COMMAND, "-v", "ci", "apply"],
        cwd=story.root,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    wait_for_line(process, "  200  ")
    wait_for_commit(story.sandbox, "AP-10")
    process.send_signal(signal.SIGINT)
    answered = {request.serial for request in story.sandbox.requests("PUT")}
    process.communicate(timeout=60)
    sent = len(story.sandbox.requests("PUT"))

    assert (process.returncode, 2 <= sent < 31) == (130, True)
    assert "AP-10" in {request.serial for request in story.sandbox.requests("PUT")} - answered
    assert "### The apply ended early" in story.outcome
    assert f"{sent} applied, {31 - sent} not attempted" in story.outcome
    assert "### The apply ended early" in story.summary
    (story.root / "reconciler.toml").write_text(quick)
    assert story.apply(head=merged).code == 0
    assert len(story.sandbox.requests("PUT")) == 31


def test_a_newer_commit_that_came_first_after_all_is_noticed_with_the_lease(
    story: Story, declare: Declare, sandbox: Sandbox
) -> None:
    """The older job asked before the newer one began, and then waited for it."""
    settings = load(story.root, sandbox.environ)
    old = story.merged(7)
    gitops.admit(settings, old)
    plan = reconcile.plan(settings)
    declare("b.yaml", serial_number="AP-2", status="active")
    (story.root / "inventory" / "a.yaml").unlink()
    story.reviewed(8, head="d" * 40)
    assert story.apply(head=story.merged(8)).code == 0

    with pytest.raises(OlderCommit, match="newer than"):
        reconcile.apply(settings, plan, sandbox.environ, admit=lambda backend: check_commit(settings, backend, old))
    assert {put.serial for put in sandbox.requests("PUT")} == {"AP-2"}


def test_it_works_with_no_more_than_a_repository_the_state_in_a_branch_of_it(
    story: Story, declare: Declare, tmp_path: Path
) -> None:
    with (story.root / "reconciler.toml").open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write('state = "git:reconciler-state"\n' + text)
    merged = story.merged(7)
    git(tmp_path, "clone", "--quiet", "--bare", str(tmp_path), str(story.place / "remote.git"))
    git(tmp_path, "remote", "add", "origin", str(story.place / "remote.git"))
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{story.place}/remote.git", str(story.place / "clone"))
    environ = story.hub.environ(head=merged, files=story.place) | dict(story.sandbox.environ)
    ran = story.run("ci", "apply", environ=environ, cwd=story.place / "clone")

    assert (ran.code, story.sandbox.device("AP-1")["status"]) == (0, "active"), ran.stderr
    declare("a.yaml", serial_number="AP-1", status="maintenance")
    story.reviewed(8, head="d" * 40)
    assert '"active" → "maintenance"' in story.hub.comments(8)[0]

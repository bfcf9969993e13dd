"""Blame by a real git, in repositories made on the spot."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.inventory.blame import blame
from reconciler.model import Blame

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in a new repository at `tmp_path`, as Ada, with nobody's configuration."""
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for name, value in quiet.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, author: str = "Ada <ada@example.com>", day: str = "2026-11-20T23:30:00-05:00") -> str:
        name, mail = author.rstrip(">").split(" <")
        people = {
            f"GIT_{who}_{what}": text
            for who in ("AUTHOR", "COMMITTER")
            for what, text in (("NAME", name), ("EMAIL", mail), ("DATE", day))
        }
        command = ["git", "-C", str(tmp_path), *arguments]
        done = subprocess.run(command, env={**os.environ, **people}, capture_output=True, encoding="utf-8", check=True)
        return done.stdout.strip()

    run("init", "--quiet", "--initial-branch=main")
    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "inventory.yaml"


def commit(git: Git, file: Path, text: str, subject: str, **more: str) -> str:
    file.write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "-m", subject, **more)
    return git("rev-parse", "HEAD")


def test_each_line_is_told_with_its_author_day_and_commit(git: Git, file: Path) -> None:
    first = commit(git, file, "a: 1\nb: 1\n", "Begin")
    second = commit(git, file, "a: 1\nb: 2\n", "Raise b", author="Bob Ö <bob@example.com>", day="2026-11-21T08:00:00Z")

    assert blame(file, [1, 2], os.environ) == {
        1: Blame(first, "Ada", "2026-11-20", "Begin"),
        2: Blame(second, "Bob Ö", "2026-11-21", "Raise b"),
    }


def test_a_squashed_pull_request_is_named_by_its_subject(git: Git, file: Path) -> None:
    commit(git, file, "a: 1\n", "Set a for (#7) and more (#42)")

    assert blame(file, [1], os.environ)[1].request == "#42"


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ("Merge pull request #42 from ada/raise-a\n\nRaise a", "#42"),
        ("Merged in raise-a (pull request #42)", "#42"),
        ("Merge branch 'raise-a' into 'main'\n\nRaise a\n\nSee merge request net/fleet!42", "!42"),
        ("Merge branch 'raise-a'", ""),
    ],
)
def test_a_merged_pull_request_is_named_by_the_merge(git: Git, file: Path, message: str, request_: str) -> None:
    commit(git, file, "a: 1\n", "Begin")
    git("checkout", "--quiet", "-b", "raise-a")
    raised = commit(git, file, "a: 2\n", "Raise a")
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", message, "raise-a")

    assert blame(file, [1], os.environ) == {1: Blame(raised, "Ada", "2026-11-20", "Raise a", request_)}


def test_of_many_merges_it_is_the_one_that_brought_the_commit(git: Git, file: Path) -> None:
    other = file.with_name("other.yaml")
    commit(git, file, "a: 1\n", "Begin")
    git("checkout", "--quiet", "-b", "earlier")
    commit(git, other, "c: 1\n", "Add c")
    git("checkout", "--quiet", "-b", "raise-a", "main")
    commit(git, file, "a: 2\n", "Raise a")
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #1 from ada/earlier", "earlier")
    git("checkout", "--quiet", "raise-a")
    git("merge", "--quiet", "--no-ff", "-m", "Merge branch 'main' into raise-a", "main")
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #2 from ada/raise-a", "raise-a")
    git("checkout", "--quiet", "-b", "later")
    commit(git, other, "c: 2\n", "Raise c")
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #3 from ada/later", "later")

    assert (blame(file, [1], os.environ)[1].request, blame(other, [1], os.environ)[1].request) == ("#2", "#3")


def test_a_line_that_is_not_committed_says_so(git: Git, file: Path) -> None:
    first = commit(git, file, "a: 1\nb: 1\n", "Begin")
    file.write_text("a: 1\nb: 2\n")

    assert blame(file, [1, 2], os.environ) == {1: Blame(first, "Ada", "2026-11-20", "Begin"), 2: Blame()}


def test_a_file_that_git_does_not_know_is_not_committed(git: Git, file: Path) -> None:
    file.write_text("a: 1\n")

    assert git("rev-parse", "--is-inside-work-tree") == "true"
    assert blame(file, [1], os.environ) == {1: Blame()}


def test_outside_of_a_work_tree_nothing_is_told(file: Path) -> None:
    file.write_text("a: 1\n")

    assert blame(file, [1], os.environ) == {}


def test_without_a_git_program_nothing_is_told(git: Git, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(git, file, "a: 1\n", "Begin")
    monkeypatch.setenv("PATH", str(file.parent))

    assert blame(file, [1], os.environ) == {}


@pytest.mark.parametrize("when", ["99999999999999 +0000", "1763600000 +9900"])
def test_a_commit_at_no_possible_time_has_an_author_and_no_day(git: Git, file: Path, when: str) -> None:
    commit(git, file, "a: 1\n", "Begin")
    text = git("cat-file", "commit", "HEAD").replace("> ", f"> {when} ", 1)
    odd = re.sub(r"(?m)^(author .*> \S+ \S+).*$", r"\1", text) + "\n"
    made = subprocess.run(
        ["git", "-C", file.parent, "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=odd,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    git("update-ref", "HEAD", made.stdout.strip())

    assert (blame(file, [1], os.environ)[1].author, blame(file, [1], os.environ)[1].day) == ("Ada", "")


def test_the_oldest_commit_of_a_shallow_clone_is_not_taken_for_the_author(git: Git, file: Path, tmp_path: Path) -> None:
    commit(git, file, "a: 1\nb: 1\n", "Begin")
    commit(git, file, "a: 1\nb: 2\n", "Raise b")
    last = commit(git, file, "a: 1\nb: 3\n", "Raise b again")
    git("clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(tmp_path / "shallow"))

    assert blame(file, [1], os.environ)[1].or_earlier is False
    assert blame(tmp_path / "shallow" / file.name, [1], os.environ) == {
        1: Blame(last, "Ada", "2026-11-20", "Raise b again", or_earlier=True)
    }


def test_a_file_behind_a_link_is_asked_for_where_it_is(git: Git, file: Path, tmp_path: Path) -> None:
    first = commit(git, file, "a: 1\nb: 1\n", "Begin")
    link = tmp_path / "link.yaml"
    link.symlink_to(file)

    assert blame(link, [2], os.environ)[2].commit == first

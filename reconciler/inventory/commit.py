"""Which commit the inventory is at, and which ones it contains."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

SHA = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
FETCH = 300
"""Seconds that the history may take to arrive where the clone is shallow."""


def commit_of(root: Path, environ: Mapping[str, str]) -> str:
    """The commit that CI runs for, else HEAD of the work tree around `root`; "" outside of one."""
    for variable in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        if environ.get(variable):
            return environ[variable]
    return head_of(root)


def head_of(root: Path) -> str:
    """HEAD of the work tree around `root`; "" outside of one."""
    code, said = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    return said if code == 0 else ""


def contains(root: Path, commit: str, earlier: str) -> bool | None:
    """Whether `earlier` is `commit` or one that it was made from; None where the repository does not know `earlier`.

    The rest of a shallow history is fetched from `origin` if it takes that to know, and may be had.
    """
    if not SHA.fullmatch(commit) or not SHA.fullmatch(earlier):
        return None
    question = ("merge-base", "--is-ancestor", earlier, commit)
    code, _ = _git(root, *question)
    if code != 0 and is_shallow(root):
        _git(root, "fetch", "--quiet", "--no-tags", "--unshallow", "origin", seconds=FETCH)
        code, _ = _git(root, *question)
    if code in {0, 1} and not (code == 1 and is_shallow(root)):
        return code == 0
    return None


def is_shallow(root: Path) -> bool:
    """Whether the clone around `root` ends before its history does."""
    return _git(root, "rev-parse", "--is-shallow-repository") == (0, "true")


def since(root: Path, commit: str, earlier: str, most: int) -> tuple[str, ...]:
    """The commits from `commit` back to `earlier`, both included, by way of first parents: `most` of them at most."""
    if not SHA.fullmatch(commit) or not SHA.fullmatch(earlier):
        return (commit,)
    limit = f"--max-count={most}"
    code, said = _git(root, "rev-list", "--first-parent", limit, commit, f"^{earlier}")
    found = [line for line in said.splitlines() if SHA.fullmatch(line)] if code == 0 else []
    return tuple(dict.fromkeys((commit, *found, earlier)))


def _git(root: Path, *arguments: str, seconds: float = 30) -> tuple[int, str]:
    """How git ended, and what it said; (128, "") where it could not be run."""
    try:
        done = subprocess.run(  # noqa: S603 - no argument is anything but a word of ours or a commit
            ["git", *arguments],  # noqa: S607 - the user's own git
            cwd=root,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 128, ""
    return done.returncode, done.stdout.decode("ascii", "replace").strip()

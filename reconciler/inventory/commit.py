"""Which commit the inventory is at, and which ones it contains."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from reconciler.git import told

SHA = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
FETCH = 300.0
"""Seconds that the history may take to arrive where the clone is shallow."""


def commit_of(root: Path, environ: Mapping[str, str]) -> str:
    """The commit that CI runs for, else HEAD of the work tree around `root`; "" outside of one."""
    for variable in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        if environ.get(variable):
            return environ[variable]
    return head_of(root, environ)


def head_of(root: Path, environ: Mapping[str, str]) -> str:
    """HEAD of the work tree around `root`; "" outside of one."""
    return (told(root, "rev-parse", "--verify", "--quiet", "HEAD", environ=environ) or "").strip()


def tip(root: Path, branch: str) -> str:
    """The commit that `branch` of `origin` is at now; "" if that cannot be learnt."""
    said = told(root, "ls-remote", "--quiet", "origin", f"refs/heads/{branch}", environ=os.environ, seconds=FETCH) or ""
    commit = said.partition("\t")[0]
    return commit if SHA.fullmatch(commit) else ""


def contains(root: Path, commit: str, earlier: str) -> bool | None:
    """Whether `earlier` is `commit` or one that it was made from; None where the repository does not know `earlier`.

    The rest of a shallow history is fetched from `origin` if it takes that to know, and may be had.
    """
    if not SHA.fullmatch(commit) or not SHA.fullmatch(earlier):
        return None
    found = _contains(root, commit, earlier)
    if found is not True and is_shallow(root):
        fetch = ("fetch", "--quiet", "--no-tags", "--unshallow", "origin")
        told(root, *fetch, environ=os.environ, seconds=FETCH)
        found = _contains(root, commit, earlier)
    return None if found is False and is_shallow(root) else found


def _contains(root: Path, commit: str, earlier: str) -> bool | None:
    outside = told(root, "rev-list", "--max-count=1", earlier, f"^{commit}", environ=os.environ)
    return None if outside is None else not outside.strip()


def is_shallow(root: Path) -> bool:
    """Whether the clone around `root` ends before its history does."""
    return (told(root, "rev-parse", "--is-shallow-repository", environ=os.environ) or "").strip() == "true"


def since(root: Path, commit: str, earlier: str, most: int) -> tuple[str, ...]:
    """`commit` and those before it, by way of first parents, back to `earlier`: the last `most`, and `earlier`."""
    if not SHA.fullmatch(commit) or not SHA.fullmatch(earlier):
        return (commit,)
    limit = f"--max-count={most}"
    found = told(root, "rev-list", "--first-parent", limit, commit, f"^{earlier}", environ=os.environ) or ""
    return tuple(dict.fromkeys((commit, *filter(SHA.fullmatch, found.splitlines()), earlier)))

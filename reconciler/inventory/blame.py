"""Who wrote a line of the inventory last, and which pull request brought it: git's own answers."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from reconciler.model import Blame

TIMEOUT = 10.0
"""Seconds that one call of git may take; whatever takes longer is not told."""

_HEAD = re.compile(r"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?")
_SQUASHED = re.compile(r"\((#\d+)\)$")
_MERGED = re.compile(r"Merged? .*?pull request (#\d+)")
_GITLAB = re.compile(r"See merge request \S*(!\d+)")


def blame(file: Path, lines: Iterable[int]) -> dict[int, Blame]:
    """By line of `file`, who wrote it last; empty outside of a work tree, and without a git that answers.

    A line that is not committed yet has a Blame without a commit.
    """
    wanted = sorted(set(lines))
    file = file.resolve()
    ranges = [part for line in wanted for part in ("-L", f"{line},{line}")]
    told = _git(file.parent, "blame", "--porcelain", *ranges, "--", file.name)
    if told is None:
        return dict.fromkeys(wanted, Blame()) if _is_new(file) else {}
    found = dict(_parsed(told))
    requests = {item.commit: _request(file.parent, item) for item in found.values() if item.commit}
    shallow = any(item.or_earlier for item in found.values()) and _is_shallow(file.parent)
    return {
        line: replace(item, request=requests.get(item.commit, ""), or_earlier=item.or_earlier and shallow)
        for line, item in found.items()
    }


def _parsed(porcelain: str) -> Iterator[tuple[int, Blame]]:
    """Each line with its Blame; `or_earlier` for commits that git calls the boundary of history.

    The porcelain format tells about a commit once, at its first line; a line's text begins with a tab.
    """
    commits: dict[str, dict[str, str]] = {}
    commit, line = "", 0
    for row in porcelain.split("\n"):
        if head := _HEAD.fullmatch(row):
            commit, line = head[1], int(head[2])
            commits.setdefault(commit, {})
        elif row.startswith("\t"):
            yield line, _blame(commit, commits[commit])
        elif commit:
            key, _, text = row.partition(" ")
            commits[commit][key] = text


def _blame(commit: str, about: Mapping[str, str]) -> Blame:
    if not commit.strip("0"):
        return Blame()
    zone = about.get("author-tz", "+0000")
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
    day = datetime.fromtimestamp(int(about.get("author-time", 0)), UTC).astimezone(timezone(offset)).date()
    return Blame(commit, about.get("author", ""), str(day), about.get("summary", ""), or_earlier="boundary" in about)


def _request(folder: Path, item: Blame) -> str:
    """`#42` from a subject as squashing makes it, else from the first merge after the commit that names a request."""
    if squashed := _SQUASHED.search(item.subject):
        return squashed[1]
    merges = _git(
        folder,
        *("-c", "log.showSignature=false", "log", "--merges", "--ancestry-path", "--topo-order", "--reverse"),
        *("--format=%B%x00", f"{item.commit}..HEAD"),
    )
    for message in (merges or "").split("\0"):
        if found := _MERGED.match(message.strip()) or _GITLAB.search(message):
            return found[1]
    return ""


def _is_new(file: Path) -> bool:
    """Whether the file is in a work tree and not in its last commit."""
    inside = _git(file.parent, "rev-parse", "--is-inside-work-tree")
    return inside == "true\n" and _git(file.parent, "cat-file", "-e", f"HEAD:./{file.name}") is None


def _is_shallow(folder: Path) -> bool:
    return _git(folder, "rev-parse", "--is-shallow-repository") == "true\n"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints in `folder`; None if it fails, hangs or is not there."""
    try:
        done = subprocess.run(  # noqa: S603 - arguments of our own, and the path of a file
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            env={**os.environ, "LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None

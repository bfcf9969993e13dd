"""Who wrote a line of the inventory last, and which pull request brought it: git's own answers."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from reconciler.git import told as ask
from reconciler.model import Blame

_HEAD = re.compile(r"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?")
_SQUASHED = re.compile(r"\((#\d+)\)$")
_MERGED = re.compile(r"Merged? .*?pull request (#\d+)")
_GITLAB = re.compile(r"See merge request \S*(!\d+)")


def blame(file: Path, lines: Iterable[int], environ: Mapping[str, str]) -> dict[int, Blame]:
    """By line of `file`, who wrote it last; empty outside of a work tree, and without a git that answers.

    A line that is not committed yet has a Blame without a commit.
    """
    wanted = sorted(set(lines))
    file = file.resolve()
    ranges = [part for line in wanted for part in ("-L", f"{line},{line}")]
    told = ask(file.parent, "blame", "--porcelain", *ranges, "--", file.name, environ=environ)
    if told is None:
        return dict.fromkeys(wanted, Blame()) if _is_new(file, environ) else {}
    found = dict(_parsed(told))
    requests = {item.commit: _request(file.parent, item, environ) for item in found.values() if item.commit}
    shallow = any(item.or_earlier for item in found.values()) and _is_shallow(file.parent, environ)
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
    return Blame(commit, about.get("author", ""), _day(about), about.get("summary", ""), or_earlier="boundary" in about)


def _day(about: Mapping[str, str]) -> str:
    """The author's day; "" for a time that is none: git takes what people write."""
    try:
        zone = about["author-tz"]
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
        return str(datetime.fromtimestamp(int(about["author-time"]), UTC).astimezone(timezone(offset)).date())
    except (KeyError, IndexError, ValueError, OverflowError, OSError):
        return ""


def _request(folder: Path, item: Blame, environ: Mapping[str, str]) -> str:
    """`#42` from a subject as squashing makes it, else from the first merge after the commit that names a request."""
    if squashed := _SQUASHED.search(item.subject):
        return squashed[1]
    merges = ask(
        folder,
        *("-c", "log.showSignature=false", "log", "--merges", "--ancestry-path", "--topo-order", "--reverse"),
        *("--format=%B%x00", f"{item.commit}..HEAD"),
        environ=environ,
    )
    for message in (merges or "").split("\0"):
        if found := _MERGED.match(message.strip()) or _GITLAB.search(message):
            return found[1]
    return ""


def _is_new(file: Path, environ: Mapping[str, str]) -> bool:
    """Whether the file is in a work tree and not in its last commit."""
    inside = ask(file.parent, "rev-parse", "--is-inside-work-tree", environ=environ)
    return inside == "true\n" and ask(file.parent, "cat-file", "-e", f"HEAD:./{file.name}", environ=environ) is None


def _is_shallow(folder: Path, environ: Mapping[str, str]) -> bool:
    return ask(folder, "rev-parse", "--is-shallow-repository", environ=environ) == "true\n"

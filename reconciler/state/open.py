"""From the `state` setting to the backend it names."""

import difflib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from reconciler.errors import ConfigError, LineageMismatch, StateMissing
from reconciler.model import Snapshot
from reconciler.state.backend import Backend, Head

KNOWN = "sqlite:PATH, such as sqlite:.reconciler/state.db, and git:BRANCH, such as git:reconciler-state"
Note: TypeAlias = Callable[[str], None]


def open_state(url: str, root: Path, *, now: Callable[[], float] = time.time, note: Note | None = None) -> Backend:
    """The backend for a URL such as `sqlite:.reconciler/state.db`, relative to `root`. Touches nothing yet.

    `now` is the clock that leases run by, in UNIX seconds. `note` is told when what is read is not the newest state,
    because that cannot be reached; without it, that is an error.

    Raises ConfigError for a scheme that does not exist, and for a remote or a branch that cannot be one.
    """
    scheme, colon, rest = url.partition(":")
    if colon and scheme in _SCHEMES and rest:
        return _SCHEMES[scheme](rest, root, now, note)
    close = difflib.get_close_matches(scheme, _SCHEMES, 1)
    hint = f"did you mean {close[0]}:? " if close and scheme not in _SCHEMES else ""
    raise ConfigError(f"state is {url!r}; {hint}known here: {KNOWN}")


def check_lineage(state: Snapshot | Head, lineage: str, url: str) -> None:
    """Nothing, if the configuration names no lineage or this one.

    Raises StateMissing if there is no state where there must be one, LineageMismatch if it is a different state.
    """
    if not lineage or state.lineage == lineage:
        return
    if not state.lineage:
        raise StateMissing(
            f"there is no state at {url}, but the settings say lineage = {lineage!r}; restore it from a backup,"
            " or remove `lineage` from the settings to begin anew (every device is then adopted again)"
        )
    raise LineageMismatch(
        f"the state at {url} is of lineage {state.lineage}, but the settings say {lineage};"
        " name the right state, or the right lineage"
    )


def _sqlite(path: str, root: Path, now: Callable[[], float], _: Note | None) -> Backend:
    from reconciler.state.sqlite import SqliteBackend

    return SqliteBackend(root / path, now=now)


def _git(place: str, root: Path, now: Callable[[], float], note: Note | None) -> Backend:
    """`BRANCH`, or `REMOTE:BRANCH`. Plain names only: whoever proposes a setting must not choose options or hosts."""
    from reconciler.state.git import GitBackend
    from reconciler.state.git_repository import Repository

    remote, colon, branch = place.rpartition(":")
    for name in (remote, branch) if colon else (branch,):
        if not _NAME.fullmatch(name) or ".." in name or "//" in name or name.endswith((".lock", "/", ".")):
            raise ConfigError(
                f"state is {f'git:{place}'!r}; {name!r} cannot be a branch, or the name of a remote, of a state;"
                " write git:BRANCH, or git:REMOTE:BRANCH for another remote than origin"
            )
    return GitBackend(Repository(root, remote or "origin", branch), now=now, note=note)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_SCHEMES: dict[str, Callable[[str, Path, Callable[[], float], Note | None], Backend]] = {"sqlite": _sqlite, "git": _git}

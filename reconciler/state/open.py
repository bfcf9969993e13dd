"""From the `state` setting to the backend it names."""

import difflib
import time
from collections.abc import Callable
from pathlib import Path

from reconciler.errors import ConfigError, LineageMismatch, StateMissing
from reconciler.model import Snapshot
from reconciler.state.backend import Backend, Head


def open_state(url: str, root: Path, *, now: Callable[[], float] = time.time) -> Backend:
    """The backend for a URL such as `sqlite:.reconciler/state.db`, relative to `root`. Touches nothing yet.

    `now` is the clock that leases run by, in UNIX seconds.

    Raises ConfigError for a scheme that does not exist.
    """
    scheme, colon, rest = url.partition(":")
    if colon and scheme in _SCHEMES and rest:
        return _SCHEMES[scheme](rest, root, now)
    close = difflib.get_close_matches(scheme, _SCHEMES, 1)
    hint = f"did you mean {close[0]}:? " if close and scheme not in _SCHEMES else ""
    raise ConfigError(f"state is {url!r}; {hint}known here: sqlite:PATH, such as sqlite:.reconciler/state.db")


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


def _sqlite(path: str, root: Path, now: Callable[[], float]) -> Backend:
    from reconciler.state.sqlite import SqliteBackend

    return SqliteBackend(root / path, now=now)


_SCHEMES: dict[str, Callable[[str, Path, Callable[[], float]], Backend]] = {"sqlite": _sqlite}

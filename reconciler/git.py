"""The user's own `git`, asked about the repository around a folder, and about no other."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

SECONDS = 10.0
"""Whatever takes longer is not told."""

_ELSEWHERE = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""What a hook, or a shell inside of one, hands down: it would point git to another repository than the folder's."""

_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "GIT_NO_REPLACE_OBJECTS": "1"}


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what would mislead git, and without the API token, which is no business of hooks and helpers."""
    kept = {
        name: value for name, value in ours.items() if name not in _ELSEWHERE and not name.startswith("RECONCILER_")
    }
    return kept | _QUIET


def told(folder: Path, *arguments: str, environ: Mapping[str, str], seconds: float = SECONDS) -> str | None:
    """What git prints in `folder`, where it only looks, or fetches; None if it fails, hangs or is not there."""
    try:
        done = subprocess.run(  # noqa: S603 - arguments of our own, and the path of a file
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            env=environment(environ) | {"LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None

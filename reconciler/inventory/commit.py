"""Which commit the inventory is at, for the audit trail."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def commit_of(root: Path, environ: Mapping[str, str]) -> str:
    """The commit that CI runs for, else HEAD of the work tree around `root`; "" outside of one."""
    for variable in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        if environ.get(variable):
            return environ[variable]
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"],  # noqa: S607 - the user's own git
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""

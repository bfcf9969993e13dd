"""Which commit the inventory is at, for the audit trail."""

from collections.abc import Mapping
from pathlib import Path

from reconciler.git import told


def commit_of(root: Path, environ: Mapping[str, str]) -> str:
    """The commit that CI runs for, else HEAD of the work tree around `root`; "" outside of one."""
    for variable in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        if environ.get(variable):
            return environ[variable]
    return (told(root, "rev-parse", "--verify", "--quiet", "HEAD", environ=environ) or "").strip()

"""Real remotes and real clones on the disk, and what git does in them."""

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str, feed: str = "") -> str:
    """What git prints, in a world that knows no user."""
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environ, input=feed, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


def bare(folder: Path) -> Path:
    """A remote."""
    git(folder.parent, "init", "--quiet", "--bare", "--initial-branch=main", folder.name)
    return folder


def cloned(folder: Path, remote: Path | str, *options: str) -> Path:
    """A clone."""
    git(folder.parent, "clone", "--quiet", *options, str(remote), folder.name)
    return folder


def working_in(root: Path) -> list[str]:
    """The git processes at work in the clone `root` or beside it, where its remote is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = (process / "cwd").readlink().is_relative_to(root.parent)
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if inside and command.startswith("git"):
            found.append(command)
    return found

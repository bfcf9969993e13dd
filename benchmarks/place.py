"""Where a fleet is measured: a git work tree that holds it as applied, and the same files outside of any."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import fleet

SETTINGS = "[api]\nrate_per_second = 1000\nburst = 1000\n[guard]\nmax_changed_pct = 100\n"
RACY = 2.0
"""Seconds after which a file's time of change tells whether it changed since: git, and who does as git does, look at
younger files anew."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with an inventory of `files` files, `per_file` devices each, and a state where all were applied."""

    folder: Path
    devices: int
    files: int
    per_file: int
    tracked: bool

    def environ(self) -> dict[str, str]:
        """An index for this place alone, and what keeps git from finding a repository above."""
        return {"RECONCILER_CACHE": f"{self.folder}.cache", "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}


def work_tree(folder: Path, devices: int, per_file: int) -> Place:
    """Make a fleet in a git work tree where everything is committed, and its state."""
    files = fleet.write(folder / "inventory", devices, per_file=per_file)
    written = time.time()
    (folder / "reconciler.toml").write_text(SETTINGS)
    (folder / ".gitignore").write_text(".reconciler/\n")
    _git(folder, "init", "--quiet")
    for name in ("gc.auto", "maintenance.auto", "commit.gpgsign"):  # nothing in the background while we measure
        _git(folder, "config", name, "0")
    _git(folder, "add", ".")
    _git(folder, "-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "-m", "A fleet")
    adopted = Path(__file__).with_name("adopted.py")
    subprocess.run([sys.executable, adopted, folder, str(devices), str(per_file)], check=True)
    time.sleep(max(0.0, written + RACY - time.time()))
    _git(folder, "status", "--porcelain")  # refreshes its index
    return Place(folder, devices, files, per_file, tracked=True)


def outside(place: Place, folder: Path) -> Place:
    """The same files and the same state, in no work tree."""
    folder.mkdir()
    for name in ("inventory", "reconciler.toml", ".reconciler"):
        subprocess.run(["cp", "-R", place.folder / name, folder / name], check=True)
    time.sleep(RACY)
    return replace(place, folder=folder, tracked=False)


@contextmanager
def cloned(place: Place) -> Iterator[None]:
    """In its place the same commit, checked out just now: a job in CI that has the index of another.

    The state is moved there and back: a copy of its file would be a state put back, beside which no index counts.
    """
    aside = place.folder.with_name("aside")
    place.folder.rename(aside)
    state, clones = aside / ".reconciler", place.folder / ".reconciler"
    try:
        _git(aside, "clone", "--quiet", "--shared", ".", str(place.folder))
        state.rename(clones)
        yield
        clones.rename(state)
    finally:
        shutil.rmtree(place.folder)
        aside.rename(place.folder)


def forget(place: Place) -> None:
    """Delete the index, so that the next plan is a first one."""
    shutil.rmtree(f"{place.folder}.cache", ignore_errors=True)


@contextmanager
def edited(place: Place, count: int, *, mark: str) -> Iterator[None]:
    """Another value, which holds `mark`, in one device of `count` files all over the fleet; then as before."""
    step = max(1, place.files // count)
    held = {}
    for file in islice(_files(place.folder / "inventory"), 0, count * step, step):
        held[file] = _assigned(file, f"{mark}@example.com")
    try:
        yield
    finally:
        for file, before in held.items():
            _assigned(file, before)
        if place.tracked:
            _git(place.folder, "status", "--porcelain")  # refreshes its index


@contextmanager
def relayered(place: Place, *, mark: str) -> Iterator[None]:
    """Another value in the layer above all devices; then as before."""
    file = place.folder / "inventory" / "_defaults.yaml"
    before = file.read_text()
    file.write_text(before.replace("encryption_status: enabled", f"encryption_status: {mark}"))
    try:
        yield
    finally:
        file.write_text(before)
        if place.tracked:
            _git(place.folder, "status", "--porcelain")  # refreshes its index


def _assigned(file: str, user: str) -> str:
    """Let the first device of a file be assigned to `user`; to whom it was before."""
    with open(file, "r+", encoding="utf-8") as opened:  # noqa: PTH123 - ten thousand times
        before, found, after = re.split(r"(?<=assigned_user: )(\S+)", opened.read(), maxsplit=1)
        opened.seek(0)
        opened.truncate()
        opened.write(before + user + after)
    return found


def _files(folder: Path) -> Iterator[str]:
    """The files that declare devices, in order of name, never all at once in memory."""
    with os.scandir(folder) as listing:
        entries = sorted((entry.path, entry.is_dir()) for entry in listing if not entry.name.startswith("_"))
    for path, is_folder in entries:
        if is_folder:
            yield from _files(Path(path))
        else:
            yield path


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, stdout=subprocess.DEVNULL, check=True)

"""State in git, measured: `.venv/bin/python benchmarks/git_state.py [DEVICES]` prints a table for benchmarks/README.md.

A bare remote on the same disk, and clones of it. The floor is what git itself needs to bring the same bytes: a fetch of
the branch and a `cat-file --batch` of the snapshot's blobs.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from adopted import adopt, put
from fleet import fleet

from reconciler.model import Draft
from reconciler.state.backend import Backend
from reconciler.state.holder import this_process
from reconciler.state.open import open_state
from reconciler.timestamp import stamp

BRANCH = "reconciler-state"
URL = f"git:{BRANCH}"
RUNS = 5


def main() -> None:
    """Adopt the fleet, then read it and write to it in several ways."""
    count = int(sys.argv[1]) if sys.argv[1:] else 100_000
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _git(place, "init", "--quiet", "--bare", "remote.git")
        _clone(place, "main.git")
        main = open_state(URL, place / "main.git")
        print(f"adopting {count:,} devices took {_seconds(lambda: adopt(main, fleet(count))):.0f} s", file=sys.stderr)
        _git(place / "remote.git", "gc", "--quiet")  # as every forge does now and then
        print(f"the remote then holds {_size(place) >> 20} MiB", file=sys.stderr)
        rows = [*_reads(place, count), *_writes(place, main, [member.serial for member in fleet(count)])]
    print(f"{count:,} devices; median of {RUNS} runs, seconds on the wall\n\n| | s |\n|---|---:|")
    print("\n".join(f"| {name} | {seconds:.2f} |" for name, seconds in rows))


def _reads(place: Path, count: int) -> Iterator[tuple[str, float]]:
    def brought() -> None:
        _git(place / "fresh", "fetch", "--quiet", "--depth=1", "origin", f"+refs/heads/{BRANCH}:refs/floor")
        _cat(place / "fresh")

    def read(clone: str) -> None:
        if len(open_state(URL, place / clone).read().devices) != count:
            raise RuntimeError("not every device was read")

    yield "floor: first fetch, depth 1, and `cat-file` of the snapshot", _fresh(place, brought)
    yield "**first read in a shallow clone, as in CI**", _fresh(place, lambda: read("fresh"))
    yield "floor: fetch of nothing new and `cat-file`", _median(brought)
    yield "**read again, in a new process's backend**", _median(lambda: read("fresh"))
    yield "verify the whole journal", _seconds(lambda: open_state(URL, place / "fresh").verify())


def _writes(place: Path, main: Backend, serials: list[str]) -> Iterator[tuple[str, float]]:
    def run() -> None:
        backend = open_state(URL, place / "fresh")
        lease = backend.acquire(this_process(os.environ), ttl=90)
        backend.append(lease, _changed(serials[:1]))
        backend.release(lease)

    yield "**lease, one-device write and release, in a clone that read before**", _median(run)
    lease = main.acquire(this_process(os.environ), ttl=3600)
    yield "one more one-device write under the same lease", _median(lambda: main.append(lease, _changed(serials[1:2])))
    before = _size(place)
    number = iter(range(200))
    yield (
        "one write of 25 devices",
        median(_seconds(lambda: main.append(lease, _changed(serials[next(number) :: 4001][:25]))) for _ in range(200)),
    )
    grown = _size(place) - before
    _git(place / "remote.git", "gc", "--quiet")
    packed = _size(place) - before
    print(
        f"200 writes of 25 devices add {grown / 200 / 1024:.0f} KiB each, {packed / 200 / 1024:.0f} KiB after `git gc`",
        file=sys.stderr,
    )


def _changed(serials: list[str]) -> list[Draft]:
    now = time.time()
    return [draft for serial in serials for draft in put(serial, {"name": f"changed {now}"}, at=stamp(now))]


def _cat(clone: Path) -> None:
    listed = _git(clone, "ls-tree", "-r", "refs/floor", "snapshot").split("\n")
    names = "".join(line.split()[2] + "\n" for line in listed if line)
    _git(clone, "cat-file", "--batch", feed=names)


def _fresh(place: Path, work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        subprocess.run(["rm", "-rf", "fresh"], cwd=place, check=True)
        _clone(place, "fresh")
        seconds.append(_seconds(work))
    return median(seconds)


def _median(work: Callable[[], object]) -> float:
    return median(_seconds(work) for _ in range(RUNS))


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _clone(place: Path, name: str) -> None:
    """A shallow clone without the state, as actions/checkout makes them."""
    _git(place, "init", "--quiet", name)
    _git(place / name, "remote", "add", "origin", (place / "remote.git").as_uri())
    (place / name / ".git" / "shallow").touch()


def _size(place: Path) -> int:
    return sum(file.stat().st_size for file in (place / "remote.git").rglob("*") if file.is_file())


def _git(folder: Path, *arguments: str, feed: str = "") -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, input=feed.encode(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


if __name__ == "__main__":
    main()

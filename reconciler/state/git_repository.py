"""One branch of one remote, by git's plumbing: no checkout, no index, no local branch, no configuration is touched.

What is fetched stands under `refs/reconciler/REMOTE/BRANCH`, which only this program moves. Where the repository is
shallow, as in CI, just the newest commit is fetched; where it is whole, it stays whole.
"""

import random
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reconciler.errors import StateError, StateUnreachable
from reconciler.printable import printable
from reconciler.state.git_command import Answer, Git

IDENTITY = "reconciler <reconciler@localhost>"

_TRIES = 20
_BUSY = re.compile(r"cannot lock ref|\.lock'?: File exists|shallow file has changed|unable to update local ref")
_OVERTAKEN = re.compile(
    r"stale info|fetch first|non-fast-forward|failed to update ref|[Cc]annot lock ref|failed to lock"
    r"|incorrect old value|already exists|reference changed"
)
_TRIAL = "to try it on this machine alone: RECONCILER_STATE=sqlite:.reconciler/state.db"


class Repository:
    """`branch` as `remote` has it, seen from the repository around `root`."""

    def __init__(self, root: Path, remote: str, branch: str) -> None:
        self._git = Git(root)
        self._remote = remote
        self._branch = f"refs/heads/{branch}"
        self._ours = f"refs/reconciler/{remote}/{branch}"
        self._kind: tuple[bool, int] | None = None
        self.place = f"branch {branch} of {remote}"

    def fetch(self) -> str | None:
        """The commit that the branch is at now, and all it holds; None if there is no such branch.

        Raises StateUnreachable if the remote gives no answer, StateError for everything else.
        """
        answer = self._fetched()
        if answer.code == 0:
            return self.known()
        if "couldn't find remote ref" in answer.err:
            if self.known():
                self._git.must("update-ref", "-d", self._ours)
            return None
        if answer.denied:
            raise StateError(
                f"{self.place} may not be read: {answer.words};"
                " give this machine or this job credentials that can read the repository"
            )
        raise StateUnreachable(f"{self.place} cannot be reached: {answer.words}")

    def known(self) -> str | None:
        """The commit that the branch was at when it was last fetched or pushed; None if it never was."""
        answer = self._git.ask("rev-parse", "--verify", "--quiet", f"{self._ours}^{{commit}}")
        return answer.out.decode().strip() or None

    def remember(self, commit: str) -> None:
        """Take `commit` for the one last fetched."""
        self._git.must("update-ref", self._ours, commit)

    def put_back(self, commit: str) -> str:
        """What to type to make the branch what it was."""
        return f"git push --force {self._remote} {commit}:{self._branch}"

    @property
    def forget(self) -> str:
        """What to type to forget what was last fetched."""
        return f"git update-ref -d {self._ours}"

    def written(self, commit: str) -> float:
        """When a commit was made, in UNIX seconds."""
        return float(self._git.must("log", "-1", "--format=%ct", commit))

    def push(self, commit: str, *, over: str | None) -> bool:
        """Move the branch from `over` (None: there is none) to `commit`; False if somebody else moved it before.

        Raises StateUnreachable if it is not known whether it was moved, StateError if the remote does not let us.
        """
        answer = self._git.ask(
            "push",
            "--porcelain",
            "--no-verify",
            "--no-signed",
            "--no-follow-tags",
            "--recurse-submodules=no",
            f"--force-with-lease={self._branch}:{over or ''}",
            self._remote,
            f"{commit}:{self._branch}",
            transfer=True,
        )
        flag, said = _verdict(answer)
        if flag and flag != "!":
            self._git.ask("update-ref", self._ours, commit)
            return True
        if flag and _OVERTAKEN.search(said):
            return False
        if (flag and "remote failure" not in said) or answer.denied:
            raise self._refused(said, answer)
        raise StateUnreachable(f"{self.place} cannot be written: {answer.words}")

    def listing(self, commit: str, *folders: str) -> dict[str, str]:
        """Every file in these folders, with the name of its blob."""
        lines = self._git.must("ls-tree", "--full-tree", "-r", "-z", commit, "--", *folders).decode().split("\0")
        split = [line.partition("\t") for line in lines if line]
        return {path: about.rpartition(" ")[2] for about, _, path in split}

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """The content of every object (`COMMIT:PATH`, or a blob's name); None for what is not there."""
        if not names:
            return []
        out = memoryview(self._git.must("cat-file", "--batch", feed="".join(f"{name}\n" for name in names).encode()))
        found: list[bytes | None] = []
        at = 0
        for _ in names:
            end = at + bytes(out[at : at + 4096]).index(b"\n")
            head = bytes(out[at:end]).split()
            at = end + 1
            if head[-1] == b"missing":
                found.append(None)
                continue
            size = int(head[-1])
            found.append(bytes(out[at : at + size]))
            at += size + 1
        return found

    def commit(self, parent: str | None, files: Mapping[str, bytes | None], message: str, *, at: float) -> str:
        """A new commit on `parent` with these files changed (None: removed). No ref leads to it yet.

        Its name is unique, even if two clients write the same thing in the same second.
        """
        name = f"refs/reconciler-new/{secrets.token_hex(8)}"
        text = f"{message}\n\nWrite: {secrets.token_hex(8)}\n"
        stream = [
            f"feature done\ncommit {name}\nmark :1\ncommitter {IDENTITY} {int(at)} +0000\n".encode(),
            _data(text.encode(errors="replace")),
            f"from {parent}\n".encode() if parent else b"",
            *_changes(files.items()),
            # Taken back in the same breath: the objects stay, and no ref is left behind by whoever dies here.
            f"\nget-mark :1\nreset {name}\nfrom {'0' * self._looked()[1]}\n\ndone\n".encode(),
        ]
        return self._git.must("fast-import", "--quiet", "--date-format=raw", feed=b"".join(stream)).decode().strip()

    def _fetched(self) -> Answer:
        depth = ("--depth=1",) if self._looked()[0] else ()
        for attempt in range(_TRIES):
            answer = self._git.ask(
                "fetch",
                *depth,
                "--quiet",
                "--no-tags",
                "--no-filter",
                "--no-prune",
                "--no-write-fetch-head",
                "--no-recurse-submodules",
                "--refmap=",
                self._remote,
                f"+{self._branch}:{self._ours}",
                transfer=True,
            )
            if answer.code == 0 or not _BUSY.search(answer.err):
                return answer
            time.sleep(random.random() * min(0.5, 0.02 * 2**attempt))  # noqa: S311 - so that two do not collide again
        raise StateError(
            f"{self.place}: another git process keeps this repository locked: {answer.words};"
            " if no other one runs, remove the file that it names"
        )

    def _looked(self) -> tuple[bool, int]:
        """Whether this repository is shallow, and how many hex digits its names have."""
        if self._kind is None:
            looked = self._git.ask("rev-parse", "--is-shallow-repository", "--show-object-format")
            if looked.code:
                raise StateError(
                    f"{self._git.root} is not in a git repository that can be used: {looked.words};"
                    ' `state = "git:…"` keeps the state in a branch of the repository that holds the inventory;'
                    f" {_TRIAL}"
                )
            if self._git.ask("remote", "get-url", self._remote).code:
                raise StateError(
                    f"there is no remote {self._remote!r} here; `git remote add {self._remote} URL`,"
                    f' or name another one in the settings: state = "git:REMOTE:BRANCH"; {_TRIAL}'
                )
            shallow, names = looked.out.split()
            self._kind = shallow == b"true", 64 if names == b"sha256" else 40
        return self._kind

    def _refused(self, said: str, answer: Answer) -> StateError:
        remote = [
            line.removeprefix("remote:").strip() for line in answer.err.splitlines() if line.startswith("remote:")
        ]
        words = "; ".join([said.strip("[]") or answer.words, *filter(None, remote)][:4])
        return StateError(
            f"{self.place} may not be written: {printable(words)}; nothing was written. Whoever applies needs the right"
            " to push to this branch (on GitHub `permissions: contents: write`), and no branch protection or hook may"
            " forbid it"
        )


def _verdict(answer: Answer) -> tuple[str, str]:
    """The flag of the line that `push --porcelain` prints about our branch, and its words; "" if it printed none."""
    for line in answer.out.decode(errors="replace").splitlines():
        flag, _, rest = line.partition("\t")
        if rest and flag in {" ", "+", "*", "=", "!", "-"}:
            return flag, rest.partition("\t")[2]
    return "", ""


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _changes(files: Iterable[tuple[str, bytes | None]]) -> Iterable[bytes]:
    for path, content in files:
        yield f"D {path}\n".encode() if content is None else f"M 100644 inline {path}\n".encode() + _data(content)
